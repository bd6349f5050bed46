"""What is understood of a graph from another exporter, by its ports and its metadata alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.artifact import Shape
from cgnet_deploy.contracts import CAMVID_CLASSES, CONTRACTS, ClassTable
from cgnet_deploy.engines.base import Ends
from cgnet_deploy.engines.foreign import Described, Port, describe
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.outputs import labels_from_scores, labels_in, scores_in
from cgnet_deploy.engines.request import Hints, Request
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.spec import InputSpec, Res
from tests.engines.graphs import SPEC, drawn_frames, logits_of, network

PATH = Path("a.onnx")
TENSOR = Port("float32", (1, 3, 40, 56))
FRAMES = Port("uint8", (1, 40, 56, 3))
LABELS = Port("int64", (1, 40, 56))
NAMES = ClassTable(("road", "car"), ((1, 2, 3), (4, 5, 6)), 255)
FULL = Hints(table=NAMES, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), color="bgr")
OPEN: Shape = (None, None, None)


def described(
    source: Port, result: Port, hints: Hints = FULL, shape: Shape = OPEN, metadata: dict[str, str] | None = None
) -> Described:
    return describe(Request(PATH, shape=shape, hints=hints), source, result, metadata)


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("sides", [(1, 40, 56), (1, 1, 40, 56), (None, None, None), (None, 1, None, None)])
def test_labels_of_any_integer_type(kind: str, sides: tuple[int | None, ...]) -> None:
    found = described(TENSOR, Port(kind, sides))
    assert (found.ends, found.shape, found.assumed) == (Ends("tensor", "labels"), (1, 40, 56), ())
    assert found.spec.input == InputSpec((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "bgr", Res(40, 56))
    assert (found.spec.class_names, found.spec.palette) == (NAMES.names, NAMES.palette)


def test_frames_are_bgr_unless_said() -> None:
    assert described(FRAMES, LABELS).ends == Ends("frames", "labels")
    assert described(FRAMES, LABELS, Hints(table=NAMES, color="rgb")).ends == Ends("rgb frames", "labels")
    assert described(FRAMES, LABELS, Hints(table=NAMES)).assumed == ("frames are BGR",)


@pytest.mark.parametrize(
    ("source", "result", "message"),
    [
        (Port("float32", (1, 40, 56, 3)), LABELS, r"takes \(1, 40, 56, 3\) float32; wanted \(N, 3, H, W\) float32 or"),
        (Port("uint8", (1, 3, 40, 56)), LABELS, "uint8; wanted"),
        (Port("float16", (1, 3, 40, 56)), LABELS, "float16; wanted"),
        (Port("float32", ()), LABELS, r"takes \(\) float32; wanted"),
        (TENSOR, Port("int64", (1, 2, 40, 56)), r"gives \(1, 2, 40, 56\) int64; wanted labels"),
        (TENSOR, Port("int64", (1, 20, 28)), r"gives labels \(1, 20, 28\) int64 for an input of H=40 W=56"),
        (TENSOR, Port("float32", (1, 40, 56)), r"gives \(1, 40, 56\) float32; wanted labels"),
        (TENSOR, Port("float32", (1, 1, 40, 56)), "of at least 2 classes"),
        (TENSOR, Port("float32", (1, 2, 80, 112)), "larger than its input of H=40 W=56"),
        (TENSOR, Port("bool", (1, 40, 56)), "bool; wanted labels"),
        (TENSOR, Port("float32", ()), r"gives \(\) float32; wanted labels"),
    ],
)
def test_other_shapes_and_types_are_one_line(source: Port, result: Port, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        described(source, result)
    assert "\n" not in str(caught.value)


def test_a_contract_says_names_mean_and_size() -> None:
    found = described(Port("float32", (None, 3, None, None)), Port("int64", OPEN), Hints("camvid-official"))
    assert (found.spec.class_names, found.spec.input) == (CAMVID_CLASSES.names, CONTRACTS["camvid-official"])
    assert found.assumed == ()


def test_a_part_of_the_contract_that_is_said_replaces_that_part() -> None:
    found = described(TENSOR, LABELS, Hints("camvid-official", color="bgr"))
    assert found.spec.input == InputSpec(CONTRACTS["camvid-official"].mean, (1.0, 1.0, 1.0), "bgr", Res(40, 56))
    with pytest.raises(UsageError, match=r"or give --std and --color$"):
        described(TENSOR, LABELS, Hints(table=NAMES, mean=(0.0, 0.0, 0.0)))


def test_an_open_size_is_the_requested_one_or_is_asked_for() -> None:
    source = Port("float32", (None, 3, None, None))
    assert described(source, Port("int64", OPEN), shape=(1, 64, 96)).spec.input.res == Res(64, 96)
    eleven = described(source, Port("float32", (None, 11, None, None)), Hints())
    assert eleven.spec.input == CONTRACTS["camvid-official"]
    assert "size 360x480, from its 11 classes" in eleven.assumed
    with pytest.raises(UsageError, match="takes any size and nothing says which: give --res HxW"):
        described(source, Port("int64", OPEN))


ULTRALYTICS = {"author": "Ultralytics", "names": "{0: 'road', 1: 'car'}", "imgsz": "[640, 480]", "task": "semantic"}


def test_names_and_size_of_ultralytics_are_read() -> None:
    source, result = Port("float32", (None, 3, None, None)), Port("float32", (None, 2, None, None))
    found = described(source, result, Hints(), metadata=ULTRALYTICS)
    assert found.spec.class_names == ("road", "car")
    assert found.spec.input == InputSpec((0.0, 0.0, 0.0), (255.0, 255.0, 255.0), "rgb", Res(640, 480))
    assert found.assumed[-1] == "pictures are RGB, 0 to 1, as Ultralytics' are"


@pytest.mark.parametrize(
    "names",
    [
        "__import__('os').system('touch hacked')",
        "[x for x in ()]",
        "{0: open('hacked', 'w')}",
        "(" * 30_000,
        "-" * 30_000 + "1",
        "[" * 90 + "]" * 90,
        "'" + "x" * 40_000 + "'",
        "{0: 'road', 2: 'car'}",
        "{0: 1, 1: 2}",
        "{}",
        "7",
        "\0",
    ],
    ids=["call", "comprehension", "open", "brackets", "minus", "lists", "long", "gap", "numbers", "none", "int", "nul"],
)
def test_hostile_metadata_is_refused_and_not_executed(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"in its metadata|its metadata names") as caught:
        described(TENSOR, LABELS, Hints(), metadata=ULTRALYTICS | {"names": names})
    assert not [*tmp_path.iterdir()]
    assert len(str(caught.value)) < 200


def test_metadata_of_others_is_not_ultralytics() -> None:
    with pytest.raises(UsageError, match="doesn't say how many classes"):
        described(TENSOR, LABELS, Hints(), metadata=ULTRALYTICS | {"author": "somebody"})


def test_scores_are_enlarged_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(0).normal(size=(2, 7, 5, 9)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(scores), (40, 56), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(scores_in(scores, (2, 40, 56), 7), wanted.numpy(), atol=1e-5)
    assert (labels_from_scores(scores, (2, 40, 56), 7) == wanted.numpy().argmax(1)).mean() > 0.999


def test_labels_that_are_no_u8_are_refused() -> None:
    labels = np.arange(6, dtype=np.int64).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(labels_in(labels, (1, 2, 3)), labels[0])
    for wrong in (-1, 256, 1 << 40):
        with pytest.raises(ArtifactError, match=r"labels of .* wanted 0 to 255"):
            labels_in(np.where(labels == 3, wrong, labels), (1, 2, 3))
    with pytest.raises(ArtifactError, match=r"labels of shape \(1, 1, 2, 3\) for frames of \(1, 3, 2\)"):
        labels_in(labels, (1, 3, 2))
    with pytest.raises(ArtifactError, match="for 3 classes and frames of"):
        scores_in(np.zeros((1, 2, 2, 2), np.float32), (1, 2, 2), 3)


@pytest.mark.parametrize("backend", ["ort", "openvino"])
@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_frames_in_either_order_run(tmp_path: Path, backend: str, color: str) -> None:
    path, names = tmp_path / "a.onnx", tmp_path / "names.txt"
    path.write_bytes(network("frames", (1, 40, 56)).SerializeToString())
    names.write_text("\n".join(SPEC.class_names))
    frames = drawn_frames(1, 40, 56)
    fed = frames if color == "bgr" else np.ascontiguousarray(frames[..., ::-1])
    with open_engine(f"{backend}:{path}", names=names, color="rgb" if color == "rgb" else "bgr") as engine:
        np.testing.assert_array_equal(engine.infer(frames), logits_of(fed).argmax(1))
        assert engine.logits(frames) is None
