"""A folder for DeepStream's Gst-nvinfer: an ONNX file in the form that it feeds and reads, its configuration, labels.

nvinfer gives a network    y = net-scale-factor * (x - offsets[c])    f32 planes in the order of model-color-format

so mean and colour order are in the configuration. Its factor is one number: where std differs by channel the factor
is 1 and the division is in the graph. nvinfer then takes as class of a pixel the first c whose value is largest and
above both -1 and segmentation-threshold: of logits, which may all be negative, it would leave pixels without a class.
So the graph gives probabilities, of which the largest is at least 1 / K.

nvinfer makes the batch of a graph open, from 1 to batch-size, whatever the file says: a graph of more than one frame
must be open itself. From an ONNX file in int8 without a calibration file it builds f16, without the flag that Q/DQ
needs. So int8 has an engine file instead of the ONNX file, which trtexec makes on the machine that runs it.

Written against the documentation and checked by that arithmetic; not yet run by DeepStream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from cgnet_deploy import __version__
from cgnet_deploy.artifact import Artifact, Shape, described
from cgnet_deploy.contracts import ONES
from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.graph import constant, insert, serialise, tidy
from cgnet_deploy.export.opset import finished
from cgnet_deploy.export.pipeline import Prepared
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.verify import demand_labels
from cgnet_deploy.files import write_together
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import InputSpec, ModelSpec, Precision, Res

NETWORK_MODE = {Precision.F32: 0, Precision.INT8: 1, Precision.F16: 2}
PROBABILITIES = "probabilities"
ENGINE = "cgnet.engine"


def write_deepstream(prepared: Prepared, kept_f32: frozenset[str], folder: Path) -> str:
    """Write cgnet.onnx, config_infer.txt and labels.txt; what was written, in one line.

    kept_f32: as in the file that was exported. Raises AccuracyError if what nvinfer would show differs from it,
    UsageError for several frames in a file of a fixed batch.
    """
    request, spec = prepared.request, prepared.checkpoint.spec
    if request.batch > 1 and prepared.shape[0] is not None:
        raise UsageError(f"nvinfer needs an open batch, not one of {request.batch}: add --dynamic batch")
    plain = prepared.tensor_graph
    if request.precision is not Precision.F32:
        plain = prepared.lowering.apply(plain, kept_f32)
    logits = run_single(serialise(plain), prepared.inputs)
    model = plain.clone()
    adapt(model, spec.input)
    content = described(finished(model, request.file_opset), _artifact(prepared, folder / "cgnet.onnx"))
    settings = properties(spec, request.precision, request.res, request.batch)
    shown = run_single(content, [as_nvinfer_feeds(frames, settings) for frames in prepared.frames])
    demand_labels(logits, [one.argmax(1).astype(np.uint8) for one in shown], request.precision)
    text = "[property]\n" + "".join(f"{key}={value}\n" for key, value in settings.items())
    labels = "".join(f"{name}\n" for name in spec.class_names)
    parts = {"config_infer.txt": text.encode(), "labels.txt": labels.encode(), "cgnet.onnx": content}
    write_together({folder / name: part for name, part in parts.items()})
    line = f"{folder}  config_infer.txt and cgnet.onnx for nvinfer: {spec.input.color} planes to {PROBABILITIES}"
    if request.precision is Precision.INT8:
        command = trtexec(model.graph.inputs[0].name or "", prepared.shape, request.batch, request.res)
        line += f"; in that folder, on the machine that runs it, run: {command}"
    return line


def trtexec(given: str, shape: Shape, batch: int, res: Res) -> str:
    """The command that builds the engine file. given: the graph's input, whose (N, H, W) are `shape`."""
    ends = (("min", 1), ("opt", batch), ("max", batch)) if None in shape else ()
    sizes = "".join(f" --{end}Shapes={given}:{n}x3x{res.height}x{res.width}" for end, n in ends)
    return f"trtexec --onnx=cgnet.onnx --saveEngine={ENGINE} --stronglyTyped{sizes}"


def _artifact(prepared: Prepared, path: Path) -> Artifact:
    """What the file for nvinfer is. Its graph divides by std where nvinfer can't, so it takes planes of std 1."""
    request, checkpoint = prepared.request, prepared.checkpoint
    given = checkpoint.spec.input
    spec = replace(checkpoint.spec, input=given if _one_std(given) else replace(given, std=ONES))
    tools = {"cgnet-deploy": __version__, **prepared.made_with}
    return Artifact(path, "onnx", request.precision, spec, "tensor", prepared.shape, "", checkpoint.sha256, tools)


def adapt(model: ir.Model, spec: InputSpec) -> None:
    """Let a tensor graph take what nvinfer feeds and give what it reads."""
    graph = model.graph
    if not _one_std(spec):
        tensor, anchor = graph.inputs[0], graph[0]
        fed = ir.Value(name="fed", type=tensor.type, shape=tensor.shape)
        scale = constant(anchor, (1 / np.asarray(spec.std, np.float32))[:, None, None], "fed.scale")
        tensor.replace_all_uses_with(insert(anchor, "Mul", [fed, scale], name="fed/Mul"))
        graph.inputs[0] = fed
        fed.name = tensor.name
    logits = graph.outputs[0]
    softmax = ir.node("Softmax", [logits], {"axis": 1}, name="probabilities/Softmax")
    graph.append(softmax)
    result = softmax.outputs[0]
    result.name, result.type, result.shape = PROBABILITIES, logits.type, logits.shape
    graph.outputs[0] = result
    tidy(model)


def properties(spec: ModelSpec, precision: Precision, res: Res, batch: int) -> dict[str, str]:
    """The keys of nvinfer's [property] group, in the order in which they are written."""
    std = spec.input.std
    return {
        "gpu-id": "0",
        "gie-unique-id": "1",
        "process-mode": "1",  # full frames
        "network-type": "2",  # segmentation
        "network-mode": str(NETWORK_MODE[precision]),
        **({"model-engine-file": ENGINE} if precision is Precision.INT8 else {"onnx-file": "cgnet.onnx"}),
        "labelfile-path": "labels.txt",
        "batch-size": str(batch),
        "infer-dims": f"3;{res.height};{res.width}",
        "model-color-format": {"rgb": "0", "bgr": "1"}[spec.input.color],
        "net-scale-factor": repr(1 / std[0] if _one_std(spec.input) else 1.0),
        "offsets": ";".join(map(repr, spec.input.mean)),
        "maintain-aspect-ratio": "0",  # the frame is stretched, as data/dataset.py does
        "scaling-filter": "1",  # linear
        "num-detected-classes": str(spec.classes),
        "output-blob-names": PROBABILITIES,
        "segmentation-output-order": "0",  # NCHW
        "segmentation-threshold": "0.0",
    }


def as_nvinfer_feeds(frames: U8, settings: Mapping[str, str]) -> F32:
    """(N, H, W, 3) u8 BGR -> (N, 3, H, W) f32, by the arithmetic that the documentation gives."""
    pixels = frames if settings["model-color-format"] == "1" else frames[..., ::-1]
    offsets = np.array(settings["offsets"].split(";"), np.float32)
    fed = np.float32(settings["net-scale-factor"]) * (pixels.astype(np.float32) - offsets)
    return np.ascontiguousarray(fed.transpose(0, 3, 1, 2))


def _one_std(spec: InputSpec) -> bool:
    return len(set(spec.std)) == 1
