"""What cgnet_video says of bad input and bad usage: one line, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cgnet_deploy.artifact import Artifact, sidecar_path
from cgnet_deploy.onnxmeta import read_metadata, with_metadata
from tests.engines.cpp.conftest import run
from tests.engines.graphs import FIXED, network, written


def spoilt(folder: Path, old: str, new: str) -> None:
    """Leave the network without its sidecar, and with `new` for `old` in its metadata."""
    path = folder / "tiny.onnx"
    sidecar_path(path).unlink(missing_ok=True)
    text = read_metadata(path.read_bytes())["cgnet"]
    assert old in text
    path.write_bytes(with_metadata(path.read_bytes(), {"cgnet": text.replace(old, new)}))


def metadata_schema(folder: Path) -> str:
    spoilt(folder, '"schema": 1', '"schema": 2')
    return "tiny.onnx is not a description of ours (schema is not 1)"


def metadata_kind(folder: Path) -> str:
    spoilt(folder, '"kind": "onnx"', '"kind": "plan"')
    return "tiny.onnx is not a description of ours (kind is not onnx)"


def metadata_text(folder: Path) -> str:
    spoilt(folder, "{", "[" * 10_000)
    return "tiny.onnx can't be read: "


def metadata_cut(folder: Path) -> str:
    spoilt(folder, "}", "}")
    content = (folder / "tiny.onnx").read_bytes()
    (folder / "tiny.onnx").write_bytes(content[:-3])
    return "has no sidecar tiny.onnx.json; export it again"


def contradiction(folder: Path) -> str:
    sidecar = sidecar_path(folder / "tiny.onnx")
    sidecar.write_text(sidecar.read_text().replace('"rgb"', '"bgr"'))
    return "tiny.onnx.json contradicts the metadata of tiny.onnx; export it again"


def no_sidecar(folder: Path) -> str:
    sidecar_path(folder / "tiny.onnx").unlink()
    (folder / "tiny.onnx").write_bytes(network("frames", FIXED).SerializeToString())
    return "has no sidecar tiny.onnx.json; export it again"


def altered(folder: Path) -> str:
    (folder / "tiny.onnx").write_bytes(network("frames", FIXED).SerializeToString())
    return "tiny.onnx is not the file that tiny.onnx.json describes (sha256 differs)"


def no_json(folder: Path) -> str:
    sidecar_path(folder / "tiny.onnx").write_text("[" * 100_000)
    return "tiny.onnx.json can't be read: "


def other_schema(folder: Path) -> str:
    sidecar = sidecar_path(folder / "tiny.onnx")
    sidecar.write_text(sidecar.read_text().replace('"schema": 1', '"schema": 2'))
    return "is not a sidecar of ours (schema is not 1)"


def no_mean(folder: Path) -> str:
    sidecar = sidecar_path(folder / "tiny.onnx")
    sidecar.write_text(sidecar.read_text().replace('"mean"', '"median"'))
    return "is not a sidecar of ours ("


def large_sidecar(folder: Path) -> str:
    sidecar_path(folder / "tiny.onnx").write_bytes(b" " * (1 << 20) + b"{}")
    return "is larger than 1048576 bytes: not a sidecar of ours"


def no_network(folder: Path) -> str:
    (folder / "tiny.onnx").unlink()
    return "tiny.onnx does not exist"


def no_plan(folder: Path) -> str:
    sidecar = sidecar_path(folder / "tiny.onnx")
    made = '"made_with": {"tensorrt": "10.13.3.9", "architecture": "sm_90", '
    text = sidecar.read_text().replace('"kind": "onnx"', '"kind": "plan"').replace('"made_with": {', made)
    sidecar.write_text(text)
    return "tiny.onnx is not a TensorRT plan; make it again with: cgnet-export --ckpt CHECKPOINT --fp32 --res 40x56"


def no_video(folder: Path) -> str:
    (folder / "drawn.avi").write_bytes(b"RIFF" + bytes(1000))
    return "drawn.avi is not a video that OpenCV can read"


def no_folder(folder: Path) -> str:
    shutil.rmtree(folder / "out")
    return "can't be written: is "


BAD = (
    metadata_schema,
    metadata_kind,
    metadata_text,
    metadata_cut,
    contradiction,
    no_sidecar,
    altered,
    no_json,
    other_schema,
    no_mean,
    large_sidecar,
    no_network,
    no_plan,
    no_video,
    no_folder,
)


@pytest.fixture
def bad_folder(tmp_path: Path, video: Path) -> Path:
    """A network, a video and a folder for the output, for a test to spoil."""
    written(tmp_path / "tiny.onnx", "frames", FIXED)
    shutil.copy(video, tmp_path)
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_bad_input_is_one_line_and_exit_code_2(spoil: Callable[[Path], str], program: Path, bad_folder: Path) -> None:
    says = spoil(bad_folder)
    out = bad_folder / "out"
    flags: list[str | Path] = ["--engine", bad_folder / "tiny.onnx", "--input", bad_folder / "drawn.avi"]
    done = run(program, *flags, "--output", out / "o.avi", "--masks", out / "m.u8")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("cgnet_video: ")
    assert says in line
    assert not out.is_dir() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "wanted --engine, --input, and --output or --masks"),
        (["--engin", "x"], "--engin is not an option"),
        (["--overlay", "2"], "--overlay 2: must be between 0"),
        (["--limit", "-1"], "--limit -1: must be between 1"),
        (["--engine"], "--engine needs a value"),
    ],
)
def test_bad_usage_is_one_line(flags: list[str], says: str, program: Path) -> None:
    done = run(program, *flags)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line


def test_a_plan_without_a_backend_for_it_says_so(program: Path, plan: Artifact, video: Path, tmp_path: Path) -> None:
    done = run(program, "--engine", plan.path, "--input", video, "--masks", tmp_path / "m.u8")
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1].endswith("which this build of cgnet lacks: -DCGNET_TENSORRT=ON")
