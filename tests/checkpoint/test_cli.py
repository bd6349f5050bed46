"""`cgnet-convert`: every way without loss, and every bad file with one line and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cgnet_deploy.checkpoint.cli import main
from tests.files import BAD, named, official, saved
from tests.networks import drawn


def convert(source: Path, to: str, out: Path, *flags: str) -> int:
    return main(["--ckpt", str(source), "--to", to, str(out), *flags])


def official_weights(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    return {key.removeprefix("module."): tensor for key, tensor in content["model"].items()}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["checkpoints/cgnet_camvid_official.pth", "fixtures/official_k19.pth"])
def test_official_to_cgnet_to_mmseg_to_official_changes_no_byte(shared: Path, tmp_path: Path, name: str) -> None:
    for source, to, out in [
        (shared / name, "cgnet", "a.pth"),
        (tmp_path / "a.pth", "mmseg", "b.pth"),
        (tmp_path / "b.pth", "official", "c.pth"),
    ]:
        assert convert(source, to, tmp_path / out) == 0
    before, after = official_weights(shared / name), official_weights(tmp_path / "c.pth")
    assert list(before) == list(after)
    assert all(
        before[key].dtype == after[key].dtype and before[key].numpy().tobytes() == after[key].numpy().tobytes()
        for key in before
    )


def test_a_bias_survives_every_conversion_but_to_official(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = named(drawn(19, bias=True), "mmseg")
    (tmp_path / "a.pth").write_bytes(saved({"meta": {}, "state_dict": weights}))
    assert convert(tmp_path / "a.pth", "cgnet", tmp_path / "b.pth") == 0
    assert convert(tmp_path / "b.pth", "mmseg", tmp_path / "c.pth") == 0
    again = torch.load(tmp_path / "c.pth", weights_only=True)["state_dict"]
    assert list(again) == list(weights)
    assert all(torch.equal(again[key], weights[key]) for key in weights)
    assert convert(tmp_path / "b.pth", "official", tmp_path / "d.pth") == 2
    assert "the classifier has a bias" in capsys.readouterr().err
    assert not (tmp_path / "d.pth").exists()


def test_stdout_carries_the_result_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pth").write_bytes(official())
    assert convert(tmp_path / "a.pth", "cgnet", tmp_path / "b.pth") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tmp_path / 'b.pth'}  cgnet  sha256 ")
    assert shown.out.count("\n") == 1
    assert "camvid-official" in shown.err


@pytest.mark.parametrize("case", BAD)
def test_a_bad_checkpoint_is_one_line_and_harms_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    make, reason = BAD[case]
    source, out, mark = tmp_path / "bad.pth", tmp_path / "out.pth", tmp_path / "code ran"
    source.write_bytes(make(str(mark)))
    out.write_bytes(b"what was there before")
    assert convert(source, "cgnet", out) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"cgnet-convert: error: {source}")
    assert reason in shown.err
    assert shown.err.count("\n") == 1
    assert out.read_bytes() == b"what was there before"
    assert sorted(tmp_path.iterdir()) == [source, out]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--to", "cgnet", "in.pth"), "is the checkpoint itself"),
        (("--to", "official", "out.pth", "--contract", "camvid-official"), "can't store classes or an input contract"),
        (("--to", "cgnet", "out.pth", "--contract", "imagenet"), "camvid-official"),
        (("--to", "cgnet", "out.pth", "--mean", "1,2"), "is not three numbers"),
        (("--to", "cgnet", "out.pth", "--mean", "1,2,nan"), "three finite numbers"),
        (("--to", "cgnet", "out.pth", "--std", "1,1,0"), "three positive numbers"),
        (("--to", "onnx", "out.pth"), "invalid choice: 'onnx'"),
        (("--to", "cgnet", "out.pth", "--colour", "rgb"), "did you mean --color?"),
        (("--to", "cgnet", "missing/out.pth"), "can't be written"),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.pth").write_bytes(official())
    assert main(["--ckpt", "in.pth", *flags]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert reason in shown.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["in.pth"]


def test_losing_a_contract_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pth").write_bytes(official())
    assert convert(tmp_path / "a.pth", "cgnet", tmp_path / "b.pth", "--color", "bgr") == 0
    assert convert(tmp_path / "b.pth", "official", tmp_path / "c.pth") == 0
    assert "can't store the input contract custom; readers will infer camvid-official" in capsys.readouterr().err
