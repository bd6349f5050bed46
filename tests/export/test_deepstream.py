"""The DeepStream folder: known keys, and labels that are the network's when nvinfer's arithmetic is done on it."""

from __future__ import annotations

import configparser
from pathlib import Path

import numpy as np
import onnx
import pytest

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import AccuracyError, UsageError
from cgnet_deploy.export import deepstream, pipeline
from cgnet_deploy.export.calibration_data import calibration_frames
from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.deepstream import as_nvinfer_feeds, write_deepstream
from cgnet_deploy.export.int8 import Int8
from cgnet_deploy.export.pipeline import Prepared, Request, prepare
from cgnet_deploy.export.targets import target_named
from cgnet_deploy.export.trace import trace
from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.spec import Color, Precision, Res, Triple
from tests.engines.graphs import drawn_frames
from tests.export.networks import trained

onnxruntime = pytest.importorskip("onnxruntime")

# Of the keys that Gst-nvinfer's [property] group documents, those that a segmentation network may need.
KEYS = {
    "gpu-id",
    "gie-unique-id",
    "process-mode",
    "interval",
    "network-type",
    "network-mode",
    "onnx-file",
    "batch-size",
    "model-engine-file",
    "labelfile-path",
    "infer-dims",
    "model-color-format",
    "net-scale-factor",
    "offsets",
    "mean-file",
    "maintain-aspect-ratio",
    "symmetric-padding",
    "scaling-filter",
    "scaling-compute-hw",
    "network-input-order",
    "num-detected-classes",
    "output-blob-names",
    "segmentation-threshold",
    "segmentation-output-order",
    "output-tensor-meta",
    "workspace-size",
    "layer-device-precision",
    "output-io-formats",
}
RES = Res(33, 47)
MODEL = trained()


def prepared(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    std: Triple,
    color: Color,
    precision: Precision = Precision.F32,
    dynamic: Dynamic = "batch",
) -> Prepared:
    monkeypatch.setattr(pipeline, "trace", trace)
    spec = model_spec("camvid-official", MODEL.classes, MODEL.blocks, mean=(90.5, 100.25, 120.0), std=std, color=color)
    save_checkpoint(folder / "model.safetensors", MODEL, spec, {})
    int8 = Int8(calibration_frames("scenes", 8, RES)) if precision is Precision.INT8 else None
    request = Request(precision, RES, 2, dynamic, "frames", target_named("generic"), int8=int8)
    frames = [drawn_frames(2, *RES, seed=seed) for seed in range(2)]
    return prepare(load_checkpoint(folder / "model.safetensors"), request, frames)


def read(folder: Path) -> dict[str, str]:
    """The configuration, by a reader of key files that is not ours."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",), strict=True)
    parser.read(folder / "config_infer.txt")
    assert parser.sections() == ["property"]
    return dict(parser["property"])


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("std", [(1.0, 1.0, 1.0), (58.0, 58.0, 58.0), (40.0, 58.0, 71.0)])
def test_what_nvinfer_would_show_is_what_the_network_gives(
    std: Triple, color: Color, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = prepared(tmp_path, monkeypatch, std, color)
    line = write_deepstream(source, frozenset(), tmp_path / "ds")
    assert line.endswith(f"{color} planes to probabilities")
    settings = read(tmp_path / "ds")
    session = onnxruntime.InferenceSession(tmp_path / "ds" / settings["onnx-file"], providers=["CPUExecutionProvider"])
    for frames, logits in zip(source.frames, source.logits, strict=True):
        # By hand, from the text alone: reorder, subtract, scale; then the parser's loop over classes.
        order = (2, 1, 0) if settings["model-color-format"] == "0" else (0, 1, 2)
        mean = [float(value) for value in settings["offsets"].split(";")]
        factor = float(settings["net-scale-factor"])
        planes = np.stack([factor * (frames[..., order[c]].astype(np.float32) - mean[c]) for c in range(3)], axis=1)
        (values,) = session.run(
            [settings["output-blob-names"]], {session.get_inputs()[0].name: planes.astype(np.float32)}
        )
        best, label = np.full(values[:, 0].shape, -1.0), np.full(values[:, 0].shape, -1)
        for c in range(int(settings["num-detected-classes"])):
            wins = (values[:, c] > best) & (values[:, c] > float(settings["segmentation-threshold"]))
            best[wins], label[wins] = values[:, c][wins], c
        second, first = np.sort(logits, axis=1)[:, -2:].swapaxes(0, 1)
        sure = first - second > 1e-4 * np.abs(logits).max()
        assert sure.mean() > 0.98
        assert (logits.max(1) < 0).any() or logits.min() < 0  # or nothing would show why probabilities are needed
        np.testing.assert_array_equal(label[sure], logits.argmax(1)[sure])
        with open_engine(tmp_path / "ds" / "cgnet.onnx") as engine:  # its metadata say what it takes and gives
            np.testing.assert_array_equal(engine.infer(frames)[sure], logits.argmax(1)[sure])
            assert engine.info.spec.class_names == source.checkpoint.spec.class_names


def test_every_key_is_one_that_nvinfer_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deepstream(prepared(tmp_path, monkeypatch, (1.0, 1.0, 1.0), "rgb"), frozenset(), tmp_path / "ds")
    settings = read(tmp_path / "ds")
    assert set(settings) <= KEYS
    graph = onnx.load(tmp_path / "ds" / "cgnet.onnx").graph
    sides = [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
    assert settings["infer-dims"] == ";".join(map(str, sides[1:]))
    assert settings["batch-size"] == "2"
    assert settings["output-blob-names"] == graph.output[0].name
    labels = (tmp_path / "ds" / settings["labelfile-path"]).read_text().splitlines()
    assert (
        len(labels) == int(settings["num-detected-classes"]) == graph.output[0].type.tensor_type.shape.dim[1].dim_value
    )
    assert (settings["network-type"], settings["network-mode"]) == ("2", "0")


def test_a_batch_that_is_not_full_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nvinfer makes the batch open, 1 to batch-size, and sends what it has."""
    source = prepared(tmp_path, monkeypatch, (1.0, 1.0, 1.0), "rgb")
    write_deepstream(source, frozenset(), tmp_path / "ds")
    fed = as_nvinfer_feeds(source.frames[0], read(tmp_path / "ds"))
    session = onnxruntime.InferenceSession(tmp_path / "ds" / "cgnet.onnx", providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    (both,), (first,) = (session.run(None, {name: planes}) for planes in (fed, fed[:1]))
    np.testing.assert_allclose(first, both[:1], atol=1e-5)
    fixed = prepared(tmp_path, monkeypatch, (1.0, 1.0, 1.0), "rgb", dynamic="none")
    with pytest.raises(UsageError, match="nvinfer needs an open batch, not one of 2: add --dynamic batch"):
        write_deepstream(fixed, frozenset(), tmp_path / "fixed")


def test_int8_is_an_engine_file_that_trtexec_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an ONNX file in int8 without a calibration file nvinfer builds f16, where Q/DQ is refused."""
    source = prepared(tmp_path, monkeypatch, (1.0, 1.0, 1.0), "rgb", Precision.INT8)
    line = write_deepstream(source, frozenset(), tmp_path / "ds")
    settings = read(tmp_path / "ds")
    assert set(settings) <= KEYS
    assert "onnx-file" not in settings
    given = onnx.load(tmp_path / "ds" / "cgnet.onnx").graph.input[0].name
    sizes = " ".join(f"--{end}Shapes={given}:{n}x3x33x47" for end, n in (("min", 1), ("opt", 2), ("max", 2)))
    command = f"trtexec --onnx=cgnet.onnx --saveEngine={settings['model-engine-file']} --stronglyTyped {sizes}"
    assert line.endswith(f"; in that folder, on the machine that runs it, run: {command}")


def test_half_precision_is_said_to_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = prepared(tmp_path, monkeypatch, (40.0, 58.0, 71.0), "rgb", Precision.F16)
    write_deepstream(source, frozenset(), tmp_path / "ds")
    assert read(tmp_path / "ds")["network-mode"] == "2"
    graph = onnx.load(tmp_path / "ds" / "cgnet.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_a_wrong_colour_order_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = prepared(tmp_path, monkeypatch, (1.0, 1.0, 1.0), "rgb")

    def swapped(frames: np.ndarray, settings: dict[str, str]) -> np.ndarray:
        return as_nvinfer_feeds(frames, {**settings, "model-color-format": "1"})

    monkeypatch.setattr(deepstream, "as_nvinfer_feeds", swapped)
    with pytest.raises(AccuracyError):
        write_deepstream(source, frozenset(), tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_what_is_fed_is_what_the_network_was_trained_on() -> None:
    spec = model_spec("camvid-official", 11, (3, 21), std=(2.0, 2.0, 2.0))
    frames = drawn_frames(1, 8, 8)
    settings = deepstream.properties(spec, Precision.F32, RES, 1)
    # The scale is written in decimals: what is left is the rounding of f32.
    np.testing.assert_allclose(as_nvinfer_feeds(frames, settings), to_tensor(frames, spec.input), rtol=1e-6)
