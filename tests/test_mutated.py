"""Mutated files, seeded: whatever bytes come, a reader gives what it reads or one of our errors, on one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.artifact import read_artifact, write_artifact
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.data.images import image_size, read_image
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.engines.onnxfile import read_onnx
from cgnet_deploy.engines.request import Request, Said
from cgnet_deploy.errors import CgnetError, require
from cgnet_deploy.spec import Precision

SEEDS = range(4)
TIMES = int(os.environ.get("CGNET_MUTATIONS", "60"))  # of each seed and kind
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, a stretch removed, repeated or overwritten, or the end cut off."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 33))
        match int(rng.integers(0, 5)):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = rng.bytes(length)
            case _:
                for place in rng.integers(0, len(data) or 1, min(length, len(data))):
                    data[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(data)


def ours(read: Callable[[Path], object], path: Path) -> None:
    refused: CgnetError | None = None
    try:
        read(path)
    except CgnetError as error:
        refused = error
    assert refused is None or (len(str(refused).splitlines()), refused.exit_code) in ((1, 1), (1, 2))


@pytest.fixture(scope="module")
def network() -> bytes:
    """A little file that takes a tensor and gives scores, with weights, an attribute's tensor and a subgraph."""
    onnx = require("onnx", extra="export")
    return bytes(
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 17]> it (float[1,3,8,8] x) => (float[1,11,8,8] y)'
            "<float[11,3,1,1] w = {" + ", ".join(["0.5"] * 33) + "}>"
            "{ one = Constant <value = float[1] {1.0}> () y = Conv (x, w) }"
        ).SerializeToString()
    )


def written(path: Path, content: bytes) -> None:
    write_artifact(
        path,
        content,
        kind="onnx",
        precision=Precision.F32,
        spec=model_spec("camvid-official", 11, (3, 21)),
        io="tensor",
        shape=(1, 8, 8),
        parent_sha256=None,
        made_with={},
    )


def opened(path: Path) -> object:
    return read_onnx(Request(path, False, (None, None, None), None, Said(contract="camvid-official"), False))


@pytest.mark.parametrize("seed", SEEDS)
def test_sidecars(seed: int, network: bytes, tmp_path: Path) -> None:
    path, rng = tmp_path / "a.onnx", np.random.default_rng(seed)
    written(path, network)
    sidecar = path.with_name("a.onnx.json")
    whole = sidecar.read_bytes()
    for _ in range(TIMES):
        sidecar.write_bytes(mutated(whole, rng))
        ours(read_artifact, path)


def test_a_described_file_whose_graph_is_damaged(network: bytes, tmp_path: Path) -> None:
    """Found by more mutations than a run of all tests makes."""
    path = tmp_path / "a.onnx"
    written(path, network)
    whole = path.read_bytes()
    for at in range(len(network)):
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        ours(opened, path)
    path.write_bytes(whole)
    opened(path)


@pytest.mark.parametrize("described", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_onnx_files(seed: int, described: bool, network: bytes, tmp_path: Path) -> None:
    path, rng = tmp_path / "a.onnx", np.random.default_rng(seed)
    path.write_bytes(network)
    if described:
        written(path, network)
    whole = path.read_bytes()
    for _ in range(TIMES):
        path.write_bytes(mutated(whole, rng))
        ours(opened, path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp", ".ppm"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pictures(seed: int, suffix: str, tmp_path: Path) -> None:
    path, rng = tmp_path / f"a{suffix}", np.random.default_rng(seed)
    whole = cv2.imencode(suffix, PICTURE)[1].tobytes()
    for _ in range(TIMES // 4):
        path.write_bytes(mutated(whole, rng))
        for read in (read_image, read_mask, image_size):
            ours(read, path)
