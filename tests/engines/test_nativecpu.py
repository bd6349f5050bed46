"""Our CPU engine against PyTorch and ONNX Runtime: scores and labels, gates, slopes, pruned widths, bad files."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.nativecpu import NativeEngine, open, probe
from cgnet_deploy.engines.onnxfile import requested
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, EngineUnavailable, MissingPackage, UsageError
from cgnet_deploy.export.api import export
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import F32, U8, to_tensor
from tests.engines.graphs import drawn_frames
from tests.networks import drawn

F32_PARITY = 1e-5  # of the largest score
ODD = ((97, 131), (32, 33), (75, 64))
INSTRUCTIONS = ("avx512", "avx_vnni", "avx2", "generic")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        probe()
    except MissingPackage as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}: CI must run these tests")
        pytest.skip(str(error))


def opened(path: Path, *, threads: int = 1, instructions: str = "") -> NativeEngine:
    """With these instructions, or skip the test on a CPU that hasn't got them."""
    try:
        return NativeEngine(*requested(Request(path)), threads=threads, instructions=instructions)
    except EngineUnavailable as error:
        if instructions == "generic":
            raise
        pytest.skip(str(error))


def saved(path: Path, network: CGNet) -> Path:
    spec = model_spec(
        "camvid-official", network.classes, network.blocks, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0)
    )
    save_checkpoint(path, network, spec, {})
    return path


@cache
def scores_of(checkpoint: Path, size: tuple[int, int]) -> tuple[F32, F32]:
    """PyTorch's scores and enlarged scores of one drawn frame."""
    loaded = load_checkpoint(checkpoint)
    tensor = torch.from_numpy(to_tensor(drawn_frames(1, *size), loaded.spec.input))
    with torch.inference_mode():
        return loaded.model.scores(tensor)[0].numpy(), loaded.model(tensor)[0].numpy()


def assert_is_pytorch(engine: NativeEngine, checkpoint: Path, size: tuple[int, int]) -> None:
    frames = drawn_frames(1, *size)
    scores, logits = scores_of(checkpoint, size)
    assert np.abs(engine.scores(frames) - scores).max() <= F32_PARITY * np.abs(scores).max()
    second, first = np.sort(logits, axis=0)[-2:]
    sure = first - second > 2 * F32_PARITY * np.abs(logits).max()
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(engine.infer(frames)[0][sure], logits.argmax(0)[sure])


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A drawn checkpoint, whose gates are live and whose slopes have both signs and go beyond 1, and its file."""
    folder = tmp_path_factory.mktemp("native")
    network = drawn(5, (2, 3), bias=True)
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        parameters["stem.0.act.weight"][3:6] = torch.tensor([1.75, -1.25, 1.0])
        parameters["stage3.1.act.weight"][::5] = 1.5
    checkpoint = saved(folder / "live.pth", network)
    export(checkpoint, folder / "live.onnx", target="native", res="64x96", dynamic="both")
    return checkpoint, folder / "live.onnx"


def test_a_file_of_the_target_runs_here_by_default_and_any_other_in_onnx_runtime(
    live: tuple[Path, Path], tmp_path: Path
) -> None:
    export(live[0], tmp_path / "generic.onnx", res="64x96")
    refs = {str(live[1]): "native", f"ort:{live[1]}": "onnxruntime", str(tmp_path / "generic.onnx"): "onnxruntime"}
    for ref, backend in refs.items():
        with open_engine(ref, res="64x96") as engine:
            assert engine.info.backend == backend


@pytest.mark.shared
@pytest.mark.parametrize("name", ["official_k19", "mmseg_k19"])
def test_the_fixtures_give_pytorchs_scores_at_odd_sizes(shared: Path, tmp_path: Path, name: str) -> None:
    checkpoint = shared / "fixtures" / f"{name}.pth"
    export(checkpoint, tmp_path / "k19.onnx", target="native", res="64x96", dynamic="both")
    with opened(tmp_path / "k19.onnx", threads=2) as engine:
        for size in ((97, 131), (361, 479)):
            assert_is_pytorch(engine, checkpoint, size)


def pruned(folder: Path) -> tuple[Path, Path]:
    """A drawn checkpoint with dead channels and constant gates, and its pruned file, with widths of all kinds."""
    network = drawn(3, (3, 3), seed=1)
    dead = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("gate.squeeze.weight"):
                weight.zero_()
            elif name.endswith(("local.weight", "surround.weight", "conv.weight")):
                weight[torch.rand(len(weight), generator=dead) < (0.3 if "stem" in name else 0.6)] = 0
    checkpoint = saved(folder / "dead.pth", network)
    export(checkpoint, folder / "dead.onnx", target="native", res="64x96", dynamic="both", prune=True)
    return checkpoint, folder / "dead.onnx"


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pruned(tmp_path_factory.mktemp("native"))


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("size", ODD)
def test_scores_and_labels_are_pytorch_s_with_live_gates(
    live: tuple[Path, Path], size: tuple[int, int], instructions: str
) -> None:
    checkpoint, path = live
    with opened(path, instructions=instructions) as engine:
        assert instructions in engine.info.provider
        assert_is_pytorch(engine, checkpoint, size)


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
def test_scores_and_labels_are_pytorch_s_with_dead_channels(dead: tuple[Path, Path], instructions: str) -> None:
    checkpoint, path = dead
    widths = {tensor.dims[0] for tensor in onnx.load(path).graph.initializer if len(tensor.dims) == 4}
    assert any(width % 16 for width in widths)
    with opened(path, instructions=instructions) as engine:
        for size in ODD:
            assert_is_pytorch(engine, checkpoint, size)


def test_channels_without_weight_are_moved_out_of_the_way(dead: tuple[Path, Path]) -> None:
    with open(Request(dead[1], profile=True)) as engine:
        layers = engine.profile(drawn_frames(1, 64, 96), 1)
    assert {layer.name for layer in layers if layer.kind == "move"} == {"stage2.0.reduce/Conv", "stage3.0.reduce/Conv"}


@pytest.mark.parametrize("file", ["live", "dead"])
def test_labels_are_the_same_for_every_number_of_threads(file: str, request: pytest.FixtureRequest) -> None:
    _, path = request.getfixturevalue(file)
    frames = drawn_frames(2, 161, 203)
    with opened(path) as engine:
        wanted, scores = engine.infer(frames), engine.scores(frames[:1])
    for threads in (2, 3, 5):
        with opened(path, threads=threads) as engine:
            for _ in range(10):
                np.testing.assert_array_equal(engine.infer(frames), wanted)
            np.testing.assert_array_equal(engine.scores(frames[:1]), scores)


@pytest.fixture(scope="module", params=["all channels", "some channels"])
def int8(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network of drawn scenes in int8, also without the eighth of its filters that weighs least."""
    folder = tmp_path_factory.mktemp("native")
    path = folder / "int8.onnx"
    weights = Path(__file__).resolve().parents[2] / "cgnet_deploy" / "weights" / "scenes.pth"
    if request.param == "some channels":
        loaded = load_checkpoint(weights)
        parameters = dict(loaded.model.named_parameters())
        with torch.no_grad():
            for name, local in parameters.items():
                if name.endswith("local.weight"):
                    surround = parameters[name.replace("local", "surround")]
                    least = (local.abs() + surround.abs()).sum((1, 2, 3)).argsort()[: len(local) // 8]
                    local[least], surround[least] = 0, 0
        weights = folder / "some.pth"
        save_checkpoint(weights, loaded.model, loaded.spec, {})
    export(
        weights,
        path,
        target="native",
        precision="int8",
        calib_data="scenes",
        calib_images=8,
        res="180x240",
        min_speedup=0,
    )
    return path


@pytest.fixture(scope="module")
def scenes() -> U8:
    from cgnet_deploy.data.dataset import fit_frame
    from cgnet_deploy.data.opening import open_dataset
    from cgnet_deploy.spec import Res

    data = open_dataset("scenes", "val")
    return np.stack([fit_frame(data.frame(i), Res(180, 240)) for i in range(6)])


@pytest.fixture(scope="module")
def ort_labels(int8: Path, scenes: U8) -> U8:
    with open_engine(f"ort:{int8}", threads=1) as engine:
        return np.concatenate([engine.infer(frame[None]) for frame in scenes])


@pytest.mark.parametrize("instructions", ["amx", *INSTRUCTIONS])
def test_int8_labels_are_those_of_onnx_runtime(int8: Path, scenes: U8, ort_labels: U8, instructions: str) -> None:
    with opened(int8, instructions=instructions) as engine:
        labels = np.concatenate([engine.infer(frame[None]) for frame in scenes])
        assert "int8" in engine.info.provider
    assert len(np.unique(ort_labels)) > 5
    assert (labels == ort_labels).mean() >= 0.995


def test_int8_labels_are_the_same_for_every_number_of_threads(int8: Path, scenes: U8) -> None:
    with opened(int8) as one, opened(int8, threads=3) as three:
        for frame in scenes:
            np.testing.assert_array_equal(one.infer(frame[None]), three.infer(frame[None]))


def test_the_callers_denormals_are_none_of_its_business(live: tuple[Path, Path]) -> None:
    with opened(live[1]) as engine:
        engine.infer(drawn_frames(1, 64, 96))
    assert np.float32(1e-40) * np.float32(0.5) > 0


def test_a_profile_has_every_convolution_and_where_the_rest_goes(live: tuple[Path, Path]) -> None:
    with open(Request(live[1], threads=2, profile=True)) as engine:
        layers = engine.profile(drawn_frames(1, 64, 96), 2)
    assert {layer.kind for layer in layers} == {"image", "dense", "depthwise", "pool", "gates", "labels"}
    assert sum(layer.kind == "depthwise" for layer in layers) == 10
    assert all(layer.mean_ns > 0 for layer in layers)
    with open(Request(live[1])) as engine, pytest.raises(EngineUnavailable, match="can't time its layers"):
        engine.profile(drawn_frames(1, 64, 96), 2)


def test_a_size_beyond_its_bounds_is_refused(live: tuple[Path, Path]) -> None:
    with opened(live[1]) as engine:
        for size in ((1, 1), (31, 64), (64, 8193)):
            with pytest.raises(UsageError, match=r"each side must be 32 to 8192 pixels, and their product at most"):
                engine.infer(np.zeros((1, *size, 3), np.uint8))
        assert_is_pytorch(engine, live[0], ODD[0])  # and goes on


def test_instructions_that_this_cpu_lacks_are_no_crash(live: tuple[Path, Path]) -> None:
    file = requested(Request(live[1]))
    with pytest.raises(EngineUnavailable, match=r'no kernels "amx" for this CPU, which runs .*generic'):
        NativeEngine(*file, instructions="amx")  # has none for f32, wherever it runs


def test_bf16_runs_or_is_refused_but_never_replaced(live: tuple[Path, Path]) -> None:
    """What it gives is tested in tests/engines/native, on CPUs without it too."""
    try:
        probe(arithmetic="bf16")
    except EngineUnavailable:
        with pytest.raises(EngineUnavailable, match=r"^this CPU has no bf16 \(it runs .*generic\)$"):
            open_engine(f"native-bf16:{live[1]}")
        return
    with open_engine(f"native-bf16:{live[1]}") as engine:
        assert engine.info.provider.startswith("CPU bf16 ")


def test_an_int8_file_has_nothing_to_compute_in_bf16(int8: Path) -> None:
    with pytest.raises(ArtifactError, match=r"native can't run \S+: an int8 file has nothing .* in bf16$"):
        open_engine(f"native-bf16:{int8}")


def test_a_file_of_another_target_is_refused_by_its_node(tmp_path: Path, live: tuple[Path, Path]) -> None:
    path = tmp_path / "generic.onnx"
    export(live[0], path, res="64x96")
    with pytest.raises(ArtifactError, match=r"not a graph that this engine runs: \w+ \S+: .* --target native$"):
        opened(path)


def test_a_file_of_tensors_and_one_in_f16_are_refused(tmp_path: Path, live: tuple[Path, Path]) -> None:
    export(live[0], tmp_path / "tensor.onnx", res="64x96", target="native", io="tensor")
    with pytest.raises(ArtifactError, match=r"takes a tensor, wanted frames; .* without --tensor-io$"):
        opened(tmp_path / "tensor.onnx")
    export(live[0], tmp_path / "half.onnx", res="64x96", target="native", precision="f16")
    with pytest.raises(
        ArtifactError, match=r"not a graph that this engine runs: .*; export it with cgnet-export --target native$"
    ):
        opened(tmp_path / "half.onnx")


def opens(path: Path, content: bytes) -> bool:
    """Whether these bytes are a network; if not, an error of one line says so."""
    file, shape = requested(Request(path))
    try:
        NativeEngine(replace(file, content=content), shape, threads=1).close()
    except ArtifactError as error:
        return "\n" in str(error)
    return True


def test_a_cut_file_is_an_error_and_an_altered_one_never_a_crash(live: tuple[Path, Path]) -> None:
    content = live[1].read_bytes()
    generator = np.random.default_rng(0)
    assert not any(opens(live[1], content[: int(generator.integers(len(content) - 60_000))]) for _ in range(60))
    graph = content[: content.index(b"stage3")], content[-60_000:]  # names, sizes and operators, not only weights
    for _ in range(200):
        altered = bytearray(content)
        for _ in range(3):
            where = int(generator.integers(len(graph[1])))
            altered[len(content) - len(graph[1]) + where] = int(generator.integers(256))
        opens(live[1], bytes(altered))
