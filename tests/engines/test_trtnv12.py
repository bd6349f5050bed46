"""NV12 in device memory: the kernel, interpreted, and labels on the faked GPU. Not yet run on a GPU."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.engines import nv12 as ours
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.devicearray import Use
from cgnet_deploy.engines.nv12 import Matrix, Nv12, factors
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import FrameError, UsageError
from cgnet_deploy.pixels import U8
from tests.engines.fake_dlpack import Lender
from tests.engines.fake_gpu import FakeGpu
from tests.engines.fake_streams import ELSEWHERE, THEIRS, Array
from tests.engines.nv12 import FORMATS, ONE, frames_of, matrix
from tests.engines.test_trt import faked_plan, gpu

__all__ = ["gpu"]

H, W = 40, 56
SURFACES = np.random.default_rng(5).integers(0, 256, (2, H * 3 // 2, W), np.uint8)


@pytest.fixture
def engine(gpu: FakeGpu, tmp_path: Path) -> Engine:
    return open_engine(faked_plan(tmp_path / "fake.plan", "frames"))


def said(name: str) -> dict[str, Any]:
    return {"matrix": name[5:10], "full_range": name.endswith("full")}


def filled(array: Array, values: U8) -> Array:
    array.fill(values.reshape(array.content.shape))
    return array


@pytest.mark.parametrize("name", FORMATS)
def test_the_factors_are_the_real_ones_rounded(name: str) -> None:
    black, real = matrix(name)
    way: Matrix = "bt709" if "bt709" in name else "bt601"
    b, g, r = np.rint(real * ONE).astype(int)
    assert factors(way, name.endswith("full")) == (black, b[0], r[2], -g[2], -g[1], b[1])


@pytest.mark.parametrize("name", FORMATS)
def test_the_kernel_is_right_for_every_kind_of_pixel(gpu: FakeGpu, engine: Engine, name: str) -> None:
    """256 lumas under 18 x 18 pairs of chroma, 0 and 255 among them."""
    pairs = np.stack(np.meshgrid(np.arange(0, 256, 15), np.arange(0, 256, 15)), -1).reshape(-1, 2)
    chroma = pairs.repeat(64, 0).reshape(1, len(pairs), 128).astype(np.uint8)
    luma = np.tile(np.arange(256, dtype=np.uint8).reshape(1, 2, 128), (1, len(pairs), 1))
    surface = np.concatenate([luma, chroma], 1)
    engine._context.push()  # type: ignore[attr-defined]
    frame = filled(Array(gpu, surface.shape), surface)
    gpu.streams.synchronize(THEIRS)
    stream = gpu.cuda.Stream(1)
    memory = gpu.cuda.mem_alloc(luma.size * 3)
    use = Use(THEIRS, stream.handle, ExitStack())
    ours.Converter(gpu.cuda).convert(ours.planes_from(Nv12(frame, **said(name)), use), int(memory), stream)
    stream.synchronize()
    np.testing.assert_array_equal(gpu.memory[int(memory)].reshape(*luma.shape, 3), frames_of(name, surface))
    engine._context.pop()  # type: ignore[attr-defined]


@pytest.mark.parametrize("layout", ["one surface", "two planes", "pairs", "DLPack"])
@pytest.mark.parametrize("gap", [0, 72])
def test_device_frames_give_what_the_same_in_bgr_gives_from_the_host(
    gpu: FakeGpu, engine: Engine, layout: str, gap: int
) -> None:
    name = FORMATS[gap % 4]
    expected = engine.infer(frames_of(name, SURFACES))
    kind = Lender if layout == "DLPack" else Array
    planes = {"one surface": [SURFACES], "pairs": [SURFACES[:, :H], SURFACES[:, H:].reshape(2, H // 2, W // 2, 2)]}.get(
        layout, [SURFACES[:, :H], SURFACES[:, H:]]
    )
    held = [filled(kind(gpu, plane.shape, gap), plane) for plane in planes]
    labels = Array(gpu, (2, H, W))
    engine.infer_on_device(Nv12(*held, **said(name)), labels, stream=THEIRS)
    for array in held:
        array.fill(0)
    assert not labels.content.any()
    gpu.streams.synchronize(THEIRS)
    np.testing.assert_array_equal(labels.content, expected)
    engine.close()
    assert gpu.leaked == []


def test_planes_of_one_frame_have_no_side_for_it(gpu: FakeGpu, engine: Engine) -> None:
    """As decoders give them: (H, W, 1) with pitch, and (H / 2, W / 2, 2)."""
    luma, chroma = SURFACES[:1, :H], SURFACES[:1, H:]
    held = [filled(Array(gpu, plane.shape, 8), plane) for plane in (luma, chroma)]
    pitch = W + 8
    held[0].__cuda_array_interface__ |= {"shape": (H, W, 1), "strides": (pitch, 1, 1)}
    held[1].__cuda_array_interface__ |= {"shape": (H // 2, W // 2, 2), "strides": (pitch, 2, 1)}
    labels = Array(gpu, (1, H, W))
    engine.infer_on_device(Nv12(*held), labels)
    gpu.streams.synchronize(THEIRS)
    np.testing.assert_array_equal(labels.content, engine.infer(frames_of("nv12_bt709_limited", SURFACES[:1])))


@pytest.mark.parametrize(
    ("luma", "chroma", "stream", "says"),
    [
        ({"shape": (1, 41, W)}, {}, None, "NV12 frames are 41x56; both sides must be even"),
        ({"shape": (1, 0, W)}, {}, None, "NV12 frames are 0x56; both sides must be even, and not 0"),
        ({"shape": (1, H, W)}, None, None, "a surface of NV12 has 40 rows; wanted 3 for each 2 of the frame"),
        ({"shape": (H * W,)}, {}, None, r"luma has shape \(2240,\); wanted \(H, W\) or \(N, H, W\)"),
        ({}, {"shape": (1, H, W)}, None, "chroma of 1 frames has 40 rows of 56 bytes; wanted 1 with 20 of 56"),
        ({}, {"shape": (20, W)}, None, None),
        ({"typestr": "<u2"}, {}, None, r"luma are of type <u2; wanted \|u1"),
        ({"strides": (2240, -56, 1)}, {}, None, r"luma has strides .*-56, 1\); wanted bytes without gaps"),
        ({"strides": (2240, 0, 1)}, {}, None, r"luma has strides .* 0, 1\); wanted bytes"),
        ({}, {"strides": (2240, 112, 2)}, None, r"chroma has strides .*112, 2\); wanted bytes"),
        ({}, {"data": (64, False)}, None, "chroma aren't in the memory of a GPU"),
        ({}, {"strides": (0, 1 << 19, 1)}, None, "chroma end behind the memory of the GPU"),
        ({}, {"stream": 1}, None, "on two streams"),
        ({}, {}, ELSEWHERE, "the stream is not one of GPU 0"),
    ],
)
def test_what_can_not_be_taken_is_one_line(
    luma: dict[str, Any],
    chroma: dict[str, Any] | None,
    stream: int | None,
    says: str | None,
    gpu: FakeGpu,
    engine: Engine,
) -> None:
    planes = [Array(gpu, (1, H, W), said=luma)]
    planes += [] if chroma is None else [Array(gpu, (1, H // 2, W), said=chroma)]
    labels = Array(gpu, (1, H, W))
    if says is None:
        engine.infer_on_device(Nv12(*planes), labels)
        return
    with pytest.raises(FrameError, match=says) as caught:
        engine.infer_on_device(Nv12(*planes), labels, stream=stream)
    assert "\n" not in str(caught.value)
    assert gpu.contexts == 0


def test_a_matrix_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="matrix='bt2020': wanted one of bt601, bt709"):
        Nv12(None, matrix="bt2020")  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_87", "sm_90", "sm_100", "sm_120"])
def test_the_kernel_assembles(architecture: str, tmp_path: Path) -> None:
    """By the assembler that comes with Triton."""
    folder = Path(pytest.importorskip("triton.backends.nvidia").__file__).parent / "bin"
    newest = sorted(folder.glob("ptxas*"))[-1]
    source = Path(ours.__file__).with_name("nv12.ptx")
    command = [str(newest), f"-arch={architecture}", "-Werror", str(source), "-o", str(tmp_path / "a.cubin")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
