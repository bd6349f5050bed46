"""cgnet-doctor as a user types it."""

from __future__ import annotations

import json
import shutil
from email.message import Message
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.checkpoint.reading import read_network
from cgnet_deploy.checkpoint.writing import save_official
from cgnet_deploy.cpu import FLAGS, cpu_flags
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.doctor import cli, packages
from cgnet_deploy.doctor.cli import main
from cgnet_deploy.doctor.probe import PROBES, RUNNING, Finding, probe
from cgnet_deploy.spec import Res
from tests.data.trees import write
from tests.networks import save_shallow

SCENES = Path(cli.__file__).parents[1] / "weights" / "scenes.pth"
SMALL = ("--data", "scenes", "--frames", "3", "--res", "120x160", "--threads", "1")


def test_our_own_weights_were_trained_with_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "found.json"
    assert main(["--ckpt", str(SCENES), *SMALL, "--json", str(result)]) == 0
    out = capsys.readouterr().out
    assert "trained with: RGB minus 120, 120, 120, divided by 60, 60, 60" in out
    assert "no flag is needed" in out
    found = json.loads(result.read_text())
    assert found["candidates"][0]["miou"] == max(one["miou"] for one in found["candidates"])
    assert (found["flags"], found["own_is_right"], found["frames"]) == ("", True, 3)


def test_a_checkpoint_that_commands_would_feed_wrongly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_shallow(tmp_path / "scenes.pth", Res(120, 160))
    wrong = tmp_path / "official.pth"
    network = read_network(tmp_path / "scenes.pth")
    save_official(wrong, network.model, {})  # that format can't say 120 and 60, so commands take camvid-official
    assert main(["--ckpt", str(wrong), *SMALL]) == 3
    captured = capsys.readouterr()
    (flags,) = (line for line in captured.out.splitlines() if line.startswith("cgnet-export --ckpt"))
    assert " --color rgb --mean " in flags
    assert " --std " in flags
    assert "by default is not the right one: pass --color rgb" in captured.err


@pytest.mark.shared
def test_the_official_weights_were_trained_on_a_swapped_mean(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ckpt, data = shared / "checkpoints" / "cgnet_camvid_official.pth", shared / "camvid"
    assert main(["--ckpt", str(ckpt), "--data", str(data), "--frames", "4", "--res", "180x240"]) == 0
    out = capsys.readouterr().out
    assert "trained with: RGB minus 105.658, 103.33, 99.6254\n" in out
    best, second = (line.split() for line in out.splitlines()[4:6])
    assert float(best[0]) - float(second[0]) > 0.5
    assert "no clear difference" not in out


def test_a_network_of_other_classes_is_refused(
    tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ckpt = shutil.copy(shared / "fixtures" / "official_k19.pth", tmp_path / "k19.pth")
    assert main(["--ckpt", str(ckpt), "--data", "scenes"]) == 2
    assert "11 classes, the network has 19" in capsys.readouterr().err


def test_a_checkpoint_needs_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ckpt", "a.pth"]) == 2
    assert "--ckpt needs --data" in capsys.readouterr().err


def test_a_runtime_is_asked_in_a_process_of_its_own() -> None:
    found = probe("ort")
    assert found.can
    assert "CPUExecutionProvider" in found.found


@pytest.mark.parametrize(
    ("module", "said", "todo"),
    [
        ("raise ImportError('not here')", "can't be imported", "pip install 'cgnet-deploy[ort]'"),
        ("import os; os._exit(139)", "crashes (code 139)", "reinstall it"),
        ("raise ValueError('a\\nbroken build')", "crashes (code 1): ", "reinstall it"),
    ],
)
def test_a_missing_or_broken_runtime(
    module: str, said: str, todo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = probe("ort")
    assert not found.can
    assert said in found.found
    assert todo in found.todo


@pytest.mark.parametrize(("able", "code"), [("openvino", 0), (None, 5)])
def test_a_machine(
    able: str | None, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cgnet_deploy.doctor.machine.probe",
        lambda name: Finding(PROBES[name][0], name == able, "found", "" if able else "do"),
    )
    assert set(RUNNING) <= set(PROBES)
    result = tmp_path / "machine.json"
    assert main(["--json", str(result)]) == code
    captured = capsys.readouterr()
    assert len([line for line in captured.out.splitlines() if line.startswith("yes  run ")]) == (able is not None)
    assert ("no engine of any kind can run here" in captured.err) is (code == 5)
    found = json.loads(result.read_text())
    assert set(found["engines"]) == set(PROBES)
    assert found["cpu_flags"] == [flag for flag in FLAGS if flag in cpu_flags()]
    assert " ".join(found["cpu_flags"]) in captured.out.partition("\n")[0]


def test_extras_are_what_the_distribution_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = [
        "numpy>=1.26",
        'torch>=2.9; extra == "export"',
        'onnx>=1.19; extra == "export"',
        'x>=1; extra == "dev"',
        'y>=1; sys_platform == "cp/m" and extra == "openvino"',
        "openvino>=2025.2; extra == 'openvino'",
    ]
    versions = {"torch": "2.13.0+cpu", "onnx": "1.2.0rc1"}
    names = Message()
    for name in ("export", "openvino", "dev"):
        names["Provides-Extra"] = name

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "metadata", lambda _: names)
    monkeypatch.setattr(metadata, "requires", lambda _: declared)
    monkeypatch.setattr(metadata, "version", version)
    export, openvino = packages.extras()
    assert export.here == ("torch 2.13.0+cpu", "onnx 1.2.0rc1")
    assert export.lacking == ("onnx is 1.2.0rc1, wanted >=1.19",)
    assert (openvino.here, openvino.lacking) == ((), ("openvino is missing",))


@pytest.mark.parametrize("void", ["all", "some"])
def test_frames_without_a_scored_pixel_rank_nothing(
    void: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They have no mIoU: none is an error before the work, some are left out, so that the others decide."""
    scenes = open_dataset("scenes:0:120x160", "val")
    for i in range(4):
        labels = np.full_like(scenes.labels(i), 11) if void == "all" or i < 2 else scenes.labels(i)
        write(tmp_path / "val" / f"{i}.png", scenes.frame(i))
        write(tmp_path / "valannot" / f"{i}.png", labels)
    save_shallow(ckpt := tmp_path / "scenes.pth", Res(120, 160))
    code = main(["--ckpt", str(ckpt), "--data", str(tmp_path), "--frames", "4", "--threads", "1"])
    shown = capsys.readouterr()
    if void == "all":
        assert (code, shown.out) == (2, "")
        assert "no pixel of 4 label maps is of a class, all are ignored: nothing can be scored" in shown.err
    else:
        assert code == 0
        assert "on 2 frames of" in shown.out
        assert "nan" not in shown.out
