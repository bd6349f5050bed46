"""The guard: the fewest convolutions that must stay in higher precision, found in few trials; with its mIoU put in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.errors import AccuracyError
from cgnet_deploy.export import guard as guarding
from cgnet_deploy.export import pipeline
from cgnet_deploy.export.cli import main
from cgnet_deploy.export.guard import Cost, fewest, most_kept
from cgnet_deploy.export.pipeline import ExportedOnnx, Prepared
from cgnet_deploy.spec import Precision, Res
from tests.export.networks import Character, save, trained

RES = Res(64, 96)
FIXED = ("--ckpt", "model.safetensors", "--res", str(RES), "--no-engine")
KEPT = ("--calib-cache", "ranges.json")  # of the export that all tests share


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and the ranges that its export to int8 measured."""
    folder = tmp_path_factory.mktemp("exported")
    save(trained(11, character=Character(dead=0.2)), folder / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        calibrated = ("--int8", "--min-speedup", "0", "--calib-data", "scenes", "--calib-images", "8", *KEPT)
        assert main([*FIXED, *calibrated]) == 0
    return folder


@pytest.fixture
def folder(workplace: Path, exported: Path) -> Path:
    for name in ("model.safetensors", "ranges.json"):
        shutil.copy(exported / name, workplace)
    return workplace


COSTS = tuple(Cost(name, 1.0, macs) for name, macs in (("a", 10), ("b", 20), ("c", 30), ("d", 40)))


@pytest.mark.parametrize("needed", range(13))
def test_the_fewest_kept_is_found_in_few_trials(needed: int) -> None:
    tried: list[int] = []

    def met(kept: int) -> bool:
        tried.append(kept)
        return kept >= needed

    found = fewest(met, 11)
    assert found == (needed if needed <= 11 else None)
    assert len(tried) == len(set(tried)) <= 8


def test_the_answer_was_tried_though_more_is_not_always_better() -> None:
    tried: dict[int, bool] = {}

    def met(kept: int) -> bool:
        return tried.setdefault(kept, kept in (4, 6, 7))

    found = fewest(met, 16)
    assert found is not None
    assert tried[found]


def test_half_of_the_work_stays_lowered() -> None:
    assert most_kept(COSTS) == 2  # 70 of 100 are left, 40 with three kept
    assert most_kept(COSTS[3:]) == 0


def guarded_export(limit: str, *flags: str) -> int:
    measured = (*KEPT, "--data", "scenes:0:64x96", "--max-drop", limit)
    return main([*FIXED, "--int8", "--min-speedup", "0", *measured, "--json", "report.json", *flags])


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgnet_deploy.data.scenes.SIZES", {"train": 12, "val": 3, "test": 3})


def test_a_limit_that_holds_keeps_nothing_and_the_ranking_is_repeatable(folder: Path, few_scenes: None) -> None:
    rankings = []
    for _ in range(2):
        assert guarded_export("100") == 0
        found = json.loads((folder / "report.json").read_text())
        assert [point["kept"] for point in found["guard"]["curve"]] == [0]
        assert found["kept_f32"] == []
        rankings.append(found["guard"]["ranking"])
    assert rankings[0] == rankings[1]


@pytest.mark.parametrize("precision", ["--int8", "--fp16"])
def test_a_limit_that_plain_lowering_misses_is_reached_by_keeping(
    folder: Path, few_scenes: None, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """The mIoU is put in, so that it is known: each of the three worst costs a point."""
    monkeypatch.setattr("cgnet_deploy.export.score.scorer", lambda *args: stand_in(3))
    monkeypatch.setattr(guarding, "LEAST_LOWERED", 0.0)  # this small, three convolutions are most of the work
    given = KEPT if precision == "--int8" else ()
    flags = [*FIXED, precision, *given]
    assert main([*flags, "--data", "scenes", "--max-drop", "0.5", "--json", "report.json"]) == 0
    found = json.loads((folder / "report.json").read_text())
    curve = {point["kept"]: point for point in found["guard"]["curve"]}
    assert set(curve) == {0, 1, 2, 4, 3}
    assert curve[3]["drop"] <= 0.5 < curve[2]["drop"]
    assert found["kept_f32"] == sorted(cost["name"] for cost in found["guard"]["ranking"][:3])
    assert [cost["noise"] for cost in found["guard"]["ranking"]] == sorted(
        (cost["noise"] for cost in found["guard"]["ranking"]), reverse=True
    )
    assert read_artifact(folder / "cgnet.onnx").precision.value == found["precision"]


def stand_in(points: int) -> Callable[[Path], tuple[float, float]]:
    """Scores by how many convolutions a file keeps: a point of mIoU for each that is missing."""

    def evaluate(path: Path) -> tuple[float, float]:
        kept = points if path.stem == "f32" else min(int(path.stem), points)
        return 0.5 - 0.01 * (points - kept), 1.0

    return evaluate


def test_a_limit_that_can_not_be_met_ends_with_3_and_keeps_the_best(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cgnet_deploy.export.score.scorer", lambda *args: stand_in(50))
    (folder / "cgnet.onnx").write_bytes(b"old")
    assert guarded_export("0.5") == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--max-drop 0.5 can't be met" in error
    assert (folder / "cgnet.onnx").read_bytes() == b"old"
    best = read_artifact(folder / "cgnet.missed.onnx")
    assert best.precision is Precision.INT8
    assert not (folder / "report.json").exists()


@pytest.mark.parametrize("wrong", [3, 100])
def test_a_file_that_is_plainly_wrong_is_one_that_misses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: int
) -> None:
    """Those that keep fewer than `wrong` convolutions fail the check against PyTorch; the guard goes on, or says so."""
    own = pipeline.write

    def strict(prepared: Prepared, path: Path, keep: frozenset[str] = frozenset()) -> ExportedOnnx:
        if path.stem != "f32" and len(keep) < wrong:
            raise AccuracyError("the int8 graph disagrees with its parent")
        return own(prepared, path, keep)

    monkeypatch.setattr(guarding, "write", strict)
    monkeypatch.setattr(guarding, "LEAST_LOWERED", 0.0)
    monkeypatch.setattr("cgnet_deploy.export.score.scorer", lambda *args: stand_in(0))
    assert guarded_export("0.5") == (0 if wrong == 3 else 3)
    error = capsys.readouterr().err
    assert "guard: 2 kept: the int8 graph disagrees with its parent" in error
    if wrong == 3:
        assert len(json.loads((folder / "report.json").read_text())["kept_f32"]) == 3
    else:
        assert "no file with half of the work lowered is right" in error.splitlines()[-1]
        assert not list(folder.glob("cgnet*.onnx"))
