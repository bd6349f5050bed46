from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest

from cgnet_deploy.artifact import IO, Artifact, sidecar_path, write_artifact
from cgnet_deploy.engines import trt
from cgnet_deploy.engines.base import Engine, Layer
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.engines.cudagraph import capture
from cgnet_deploy.engines.gpu import Gpu, find_gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import ArtifactError, CgnetError, EngineUnavailable, FrameError
from cgnet_deploy.spec import Precision, Res
from tests.engines.contract import EngineContract
from tests.engines.fake_gpu import FakeGpu
from tests.engines.fake_pycuda import NON_BLOCKING
from tests.engines.fake_tensorrt import MAX_SIDE, OWN, STAND_INS, VERSION, Execution
from tests.engines.graphs import DYNAMIC, SPEC, drawn_frames, logits_of

NO_GPU = ""
try:
    find_gpu()
except EngineUnavailable as error:
    NO_GPU = str(error)


@pytest.mark.gpu
def test_replays_a_graph(fixed_onnx: Artifact, tmp_path: Path) -> None:
    try:
        trt.probe()
    except CgnetError as error:
        pytest.skip(str(error))
    with open_engine(build_plan(fixed_onnx.path, tmp_path / "tiny.plan").artifact.path) as engine:
        engine.infer(drawn_frames(1, 40, 56))
        assert engine.info.provider.endswith(", CUDA graph")


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU here")
def test_a_sound_plan_without_a_gpu_says_what_is_missing(plan: Artifact) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        open_engine(str(plan.path))
    assert str(caught.value) == f"{plan.path} can't run here: {NO_GPU}"
    assert caught.value.exit_code == 5


def test_a_damaged_plan_is_refused_before_anything_else(plan: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "find_gpu", lambda: pytest.fail("the machine was asked first"))
    content = plan.path.read_bytes()
    plan.path.write_bytes(content[:-1])
    with pytest.raises(ArtifactError, match="cut or altered"):
        open_engine(str(plan.path))


def test_a_missing_runtime_is_named_with_what_installs_it(plan: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "find_gpu", lambda: Gpu("a card", "sm_90"))
    monkeypatch.setitem(__import__("sys").modules, "pycuda", None)
    with pytest.raises(EngineUnavailable, match=r"can't run here: pycuda\.driver .*'cgnet-deploy\[trt\]'"):
        open_engine(str(plan.path))


@pytest.fixture
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    io: IO = getattr(request, "param", "frames")
    gpu = FakeGpu(io)
    modules = {"pycuda.driver": gpu.cuda, "cuda.bindings.runtime": gpu.cudart}
    monkeypatch.setattr(trt, "find_gpu", lambda: Gpu("a card", gpu.architecture))
    monkeypatch.setattr(trt, "load_api", lambda _: gpu.trt)
    monkeypatch.setattr(trt, "require", lambda module, extra: modules[module])
    return gpu


def faked_plan(path: Path, io: IO, version: str = VERSION, *, said: str = "", rtx: bool = False) -> Path:
    """version: in its header. said: in its sidecar."""
    content = (b"vtrt" if rtx else b"ftrt") + bytes(20) + bytes(map(int, version.split("."))) + bytes(100)
    write_artifact(
        path,
        content,
        kind="plan",
        precision=Precision.F32,
        spec=SPEC,
        io=io,
        shape=DYNAMIC,
        parent_sha256="0" * 64,
        made_with={
            "tensorrt_rtx" if rtx else "tensorrt": said or version,
            "architecture": "portable" if rtx else "sm_90",
        },
    )
    return path


@pytest.mark.parametrize("gpu", ["frames", "tensor"], indirect=True)
class TestOnAFakedGpu(EngineContract):
    """What the engine asks for, and in which order; that a real GPU does it is for test_contract.py to show."""

    @pytest.fixture
    def path(self, gpu: FakeGpu, tmp_path: Path) -> Path:
        return faked_plan(tmp_path / "fake.plan", gpu.io)

    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(str(path), batch=batch)


@pytest.fixture
def from_trtexec(tmp_path: Path) -> Path:
    """A plan without a sidecar."""
    sidecar_path(path := faked_plan(tmp_path / "theirs.plan", "tensor")).unlink()
    return path


def test_a_plan_without_a_sidecar_needs_trust(from_trtexec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt, "find_gpu", lambda: pytest.fail("the machine was asked first"))
    with pytest.raises(ArtifactError, match=r"so nothing vouches for its bytes.* or say --trust") as caught:
        open_engine(from_trtexec)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gpu", ["tensor"], indirect=True)
def test_a_trusted_plan_is_described_by_its_own_ports(gpu: FakeGpu, from_trtexec: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(SPEC.class_names))
    mean, std, color = SPEC.input.mean, SPEC.input.std, SPEC.input.color
    frames, size = drawn_frames(1, 40, 56), Res(40, 56)
    with open_engine(from_trtexec, res=size, names=names, mean=mean, std=std, color=color, trust=True) as engine:
        np.testing.assert_array_equal(engine.infer(frames), logits_of(frames).argmax(1))
        assert engine.info.assumed == (
            "scores smaller than the input are enlarged bilinearly",
            "precision f32: a plan doesn't say",
        )


@pytest.mark.parametrize("content", [b"", b"vtrt", bytes(range(64))], ids=["empty", "tag", "other"])
def test_trust_makes_no_plan_of_another_file(gpu: FakeGpu, from_trtexec: Path, content: bytes) -> None:
    from_trtexec.write_bytes(content)
    with pytest.raises(ArtifactError, match="is not a TensorRT plan: build one with trtexec or cgnet-export"):
        open_engine(from_trtexec, trust=True)


def test_a_trusted_plan_of_another_release_is_refused(gpu: FakeGpu, tmp_path: Path) -> None:
    sidecar_path(path := faked_plan(tmp_path / "old.plan", "tensor", "10.9.0.34")).unlink()
    with pytest.raises(EngineUnavailable, match=r"built by tensorrt 10\.9\.0\.34, and .* build it here again: trtexec"):
        open_engine(path, trust=True)


def test_no_context_stays_and_nothing_leaks(gpu: FakeGpu, tmp_path: Path) -> None:
    with open_engine(str(faked_plan(tmp_path / "fake.plan", "frames"))) as engine:
        for side in (40, 48, 40):
            engine.infer(drawn_frames(1, side, side))
            assert gpu.contexts == 0
            assert (gpu.graphs, len(gpu.memory)) == (1, 2)
    assert (gpu.contexts, gpu.graphs, len(gpu.memory)) == (0, 0, 0)


def test_the_graph_is_recorded_once_for_a_size_and_replayed(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(str(faked_plan(tmp_path / "fake.plan", "frames")))
    assert engine.info.provider == "a card"
    for _ in range(5):
        engine.infer(drawn_frames(1, 40, 56))
    assert engine.info.provider == "a card, CUDA graph"
    assert gpu.launches == {"plain": 2, "graph": 5}  # one to settle and one recorded


def test_where_nothing_can_be_recorded_it_runs_plainly_and_says_so(gpu: FakeGpu, tmp_path: Path) -> None:
    gpu.capturable = False
    engine = open_engine(str(faked_plan(tmp_path / "fake.plan", "frames")))
    engine.infer(drawn_frames(1, 40, 56))
    assert engine.info.provider == "a card, no CUDA graph"
    assert gpu.launches == {"plain": 3, "graph": 0}


def test_a_graph_is_left_out_where_that_is_asked_for(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(f"trt-plain:{faked_plan(tmp_path / 'fake.plan', 'frames')}")
    engine.infer(drawn_frames(1, 40, 56))
    assert engine.info.provider == "a card, no CUDA graph"
    assert gpu.launches == {"plain": 2, "graph": 0}


def test_frames_that_are_still_being_uploaded_are_not_overwritten(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(str(faked_plan(tmp_path / "fake.plan", "frames")))
    first, second = drawn_frames(1, 40, 56, seed=1), drawn_frames(1, 40, 56, seed=2)
    wanted = engine.infer(first)
    engine.load(first)
    engine.enqueue()
    engine.load(second)  # the first upload may not have begun
    np.testing.assert_array_equal(engine.fetch(), wanted)


def test_a_size_outside_the_profile_is_refused(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(str(faked_plan(tmp_path / "fake.plan", "frames")))
    with pytest.raises(FrameError, match="not built for N=1 H=40 W=104"):
        engine.infer(drawn_frames(1, 40, MAX_SIDE + 4))
    engine.infer(drawn_frames(1, 40, 56))


def test_the_gpus_own_time_is_that_of_one_inference(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(str(faked_plan(tmp_path / "fake.plan", "frames")))
    engine.load(drawn_frames(1, 40, 56))
    gpu.cuda.Event = lambda: pytest.fail("an event for each call takes time")
    assert [engine.device_ns() for _ in range(2)] == [250_000, 250_000]


def test_what_was_recorded_of_a_failed_start_is_given_back(gpu: FakeGpu) -> None:
    gpu.contexts = 1
    given_back: list[object] = []

    def destroy(graph: object) -> tuple[str]:
        given_back.append(graph)
        return ("success",)

    gpu.cudart.cudaGraphDestroy = destroy
    assert capture(gpu.cudart, 7, lambda: False) is None
    assert given_back == [[]]


def test_a_failed_replay_is_an_error(gpu: FakeGpu) -> None:
    gpu.contexts = 1
    graph = capture(gpu.cudart, 7, lambda: True)
    assert graph is not None
    gpu.cudart.cudaGraphLaunch = lambda *_: (type("Status", (), {"name": "cudaErrorIllegalAddress"}),)
    with pytest.raises(CgnetError, match="cudaErrorIllegalAddress"):
        graph.launch()


def test_layers_are_timed_without_the_graph_that_hides_them(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(str(faked_plan(tmp_path / "fake.plan", "frames")), profile=True)
    frames = drawn_frames(1, 40, 56)
    engine.infer(frames)
    before = gpu.inferences
    layers = engine.profile(frames, 4)
    assert gpu.launches["graph"] == 1  # that of infer
    # The faked convolution takes as many ms as there have been inferences: those after the 5 of warm-up count.
    assert layers == (Layer("stem.0.conv/Conv", "", (before + 5 + 2.5) * 1e6), Layer("Reformat", "", 250_000))
    assert gpu.contexts == 0
    engine.enqueue()
    engine.sync()
    assert gpu.profiled == 4 + 5  # and none of those after


@pytest.mark.parametrize("trust", [False, True])
def test_a_plan_of_a_jetpack_whose_package_gives_three_numbers_runs(gpu: FakeGpu, tmp_path: Path, trust: bool) -> None:
    """JetPack 6 has 10.3.0, and its plans say 10.3.0.30."""
    gpu.install("10.3.0.30", shown=3)
    path = faked_plan(tmp_path / "fake.plan", "frames", "10.3.0.30", said="10.3.0")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(SPEC.class_names))
    if trust:
        sidecar_path(path).unlink()
        size = Res(40, 56)
        engine = open_engine(path, res=size, names=names, mean=(0, 0, 0), std=(1, 1, 1), color="bgr", trust=True)
    else:
        engine = open_engine(path)
    assert engine.infer(drawn_frames(1, 40, 56)).shape == (1, 40, 56)


@pytest.mark.parametrize("runs_there", [True, False])
def test_it_runs_and_closes_in_other_threads_than_the_one_that_opened_it(
    gpu: FakeGpu, tmp_path: Path, runs_there: bool
) -> None:
    """As in cgnet-video. pycuda leaks what is let go of in another thread, unless the context is current there."""
    engines = [open_engine(faked_plan(tmp_path / "fake.plan", "frames"))]
    engines[0].infer(drawn_frames(1, 40, 48))

    def work() -> None:
        engine = engines.pop()
        for side in (40, 48) if runs_there else ():
            engine.infer(drawn_frames(1, side, side))
            engine.device_ns()
        engine.close()
        engine.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    assert (gpu.leaked, gpu.contexts, gpu.graphs, len(gpu.memory)) == ([], 0, 0, 0)


def test_its_stream_does_not_wait_for_the_default_one(gpu: FakeGpu, tmp_path: Path) -> None:
    open_engine(faked_plan(tmp_path / "fake.plan", "frames")).close()
    assert gpu.stream_flags == [NON_BLOCKING]


def test_a_cuda_python_that_the_driver_is_too_old_for_runs_without_a_graph(
    gpu: FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.cudart.cudaStreamBeginCapture = lambda *_: (SimpleNamespace(name="cudaErrorInsufficientDriver"),)
    with open_engine(faked_plan(tmp_path / "fake.plan", "frames")) as engine, caplog.at_level(logging.WARNING):
        engine.infer(drawn_frames(1, 40, 56))
        assert engine.info.provider == "a card, no CUDA graph"
    assert "without a CUDA graph: CUDA: cudaErrorInsufficientDriver; install the cuda-python" in caplog.text


def test_an_exception_ends_the_recording(gpu: FakeGpu) -> None:
    gpu.contexts = 1

    def failing() -> NoReturn:
        raise CgnetError("no more memory")

    with pytest.raises(CgnetError, match="no more memory"):
        capture(gpu.cudart, 7, failing)
    assert capture(gpu.cudart, 7, lambda: True) is not None


def test_memory_that_tensorrt_does_not_take_is_an_error(
    gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(faked_plan(tmp_path / "fake.plan", "frames"))
    monkeypatch.setattr(Execution, "set_tensor_address", lambda *_: False)
    with pytest.raises(CgnetError, match=r"doesn't take the memory of in: no reason given"):
        engine.infer(drawn_frames(1, 40, 56))


@pytest.fixture
def for_rtx(gpu: FakeGpu, tmp_path: Path) -> Path:
    gpu.architecture = "sm_89"
    gpu.install("1.7.1.116")
    return faked_plan(tmp_path / "fake.plan", "frames", "1.7.1.116", rtx=True)


def test_rtx_compiles_for_a_size_before_it_is_recorded_and_keeps_the_kernels(gpu: FakeGpu, for_rtx: Path) -> None:
    kept = for_rtx.with_name("fake.plan.cache")
    with open_engine(for_rtx) as engine:
        engine.infer(drawn_frames(1, 40, 56))
        assert engine.info.provider == "a card, CUDA graph"
        assert kept.read_text().splitlines() == ["ours", "(1, 40, 56, 3)"]
    with open_engine(for_rtx) as engine:
        engine.infer(drawn_frames(1, 48, 56))
    assert kept.read_text().splitlines() == ["ours", "(1, 40, 56, 3)", "(1, 48, 56, 3)"]
    assert gpu.fallbacks == 0


@pytest.mark.parametrize("content", [b"", b"of another GPU"])
def test_kernels_of_another_gpu_are_replaced(gpu: FakeGpu, for_rtx: Path, content: bytes) -> None:
    (kept := for_rtx.with_name("fake.plan.cache")).write_bytes(content)
    with open_engine(for_rtx) as engine:
        engine.infer(drawn_frames(1, 40, 56))
    assert kept.read_bytes().startswith(b"ours")


def test_an_rtx_plan_on_a_gpu_that_it_cannot_run_on_points_to_tensorrt(gpu: FakeGpu, for_rtx: Path) -> None:
    gpu.architecture = "sm_90"
    with pytest.raises(EngineUnavailable) as caught:
        open_engine(for_rtx)
    assert str(caught.value) == (
        f"{for_rtx} was built by tensorrt_rtx, which doesn't run on this GPU (a card, sm_90), only on sm_75, sm_86, "
        "sm_89, sm_120: build it here by TensorRT, pip install 'cgnet-deploy[trt]' and --builder tensorrt"
    )


def test_the_faked_gpu_has_no_call_that_tensorrt_lacks() -> None:
    """What the engine calls is on the faked classes, so it is known to the real ones too."""
    real = pytest.importorskip("tensorrt_rtx")
    for fake, name in STAND_INS.items():
        unknown = {call for call in vars(fake) if not call.startswith("_")} - set(dir(getattr(real, name)))
        assert unknown <= OWN, f"{name} has no {unknown}"
