"""Frames -> histograms of what each convolution reads -> scales -> what rounding biases, and how to undo it.

No labels are needed, and what is measured depends on the frames, not on their order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import tee

import numpy as np
import onnx_ir as ir

from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.export.choices import Method
from cgnet_deploy.export.fuse.linear import F64, kernel_and_bias
from cgnet_deploy.export.graph import constant, operand, serialise
from cgnet_deploy.export.quantize import branches, quantize
from cgnet_deploy.export.ranges import Histogram, scale_of
from cgnet_deploy.export.runtime import stream_onnx
from cgnet_deploy.pixels import F32

FARTHEST = 0.5  # of a filter bank's norm: distillation moves it by hundredths; in another order it is 1.4 away


@dataclass(frozen=True, slots=True)
class Scales:
    """reads, results: by convolution, of what it reads and of its raw result. added: by node, of residual branches."""

    reads: dict[str, float]
    results: dict[str, float]
    added: dict[str, float]


def histograms(model: ir.Model, values: Collection[str], inputs: Iterable[F32]) -> dict[str, Histogram]:
    """Value name -> the histogram of its values on `inputs`. Raises DataError for NaN."""
    probe = model.clone()
    made = {value.name: value for node in probe.graph for value in node.outputs}
    wanted = sorted(set(values))
    watched = [name for name in wanted if name in made]  # without the graph's own input, which is no output of it
    own = [name for name in wanted if name not in made]
    probe.graph.outputs.extend(made[name] for name in watched)
    counted = {name: Histogram.empty() for name in wanted}
    inputs, again = tee(inputs)
    for array, outputs in zip(inputs, stream_onnx(serialise(probe), again), strict=True):
        for name, values_of in zip(watched + own, [*outputs[1:], array], strict=False):
            counted[name] = counted[name].add(values_of, name)
    return counted


def calibrate(
    model: ir.Model, convs: Collection[str], inputs: Iterable[F32], method: Method = "mse", *, raw_results: bool = False
) -> Scales:
    """The scales of everything that may be stored in int8; raw_results: whether those may.

    Convolutions that read one value share its scale.
    """
    nodes = {node.name or "": node for node in model.graph if node.name in convs}
    reads = {name: operand(node).name or "" for name, node in nodes.items()}
    raw = {name: node.outputs[0].name or "" for name, node in nodes.items()} if raw_results else {}
    added = {name: value.name or "" for name, value in branches(model, convs).items()}
    counted = histograms(model, {*reads.values(), *raw.values(), *added.values()}, inputs)

    def scales(names: Mapping[str, str]) -> dict[str, float]:
        return {name: scale_of(counted[value], method) for name, value in names.items()}

    return Scales(scales(reads), scales(raw), scales(added))


def rounding_bias(model: ir.Model, scales: Mapping[str, float], inputs: Iterable[F32]) -> dict[str, F64]:
    """Convolution -> (C_out,) by how much int8 moves its mean result, on what it reads in f32.

        mean over frames and pixels of  W_8 x_8 - W x

    What rounding adds on average is a constant, and the bias can take it back (`correct`). A pair on the raw result is
    left out: what that rounds is not linear in the bias.
    """
    probe = model.clone()
    twins: list[tuple[str, ir.Value]] = []
    axes = None
    for conv in list(probe.graph):
        if conv.name not in scales:
            continue
        twin = ir.node("Conv", conv.inputs, {k: a.value for k, a in conv.attributes.items()}, name=f"{conv.name}/int8")
        conv.append(twin)
        axes = axes or constant(conv, np.array([0, 2, 3]), "pixels")
        apart = ir.node("Sub", [twin.outputs[0], conv.outputs[0]])
        mean = ir.node("ReduceMean", [apart.outputs[0], axes], {"keepdims": 0})
        twin.append(apart)
        apart.append(mean)
        twin.outputs[0].type = apart.outputs[0].type = mean.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        mean.outputs[0].name = f"{conv.name}/bias"
        twins.append((conv.name or "", mean.outputs[0]))
    probe.graph.outputs.extend(mean for _, mean in twins)
    quantize(probe, {f"{name}/int8": scale for name, scale in scales.items()})
    runs = [outputs[1:] for outputs in stream_onnx(serialise(probe), inputs)]
    return {name: np.mean([run[i] for run in runs], axis=0, dtype=np.float64) for i, (name, _) in enumerate(twins)}


def correct(model: ir.Model, bias: Mapping[str, F64]) -> None:
    """Take `bias` off the biases of its convolutions, in place; one without a bias gains one."""
    for conv in model.graph:
        if (moved := bias.get(conv.name or "")) is not None and conv.op_type == "Conv":
            value = constant(conv, (kernel_and_bias(conv)[1] - moved).astype(np.float32), f"{conv.name}.corrected")
            conv.resize_inputs(3)
            conv.replace_input_with(2, value)


def retrain(model: ir.Model, kernels: Mapping[str, F32]) -> None:
    """Give convolutions the weights that distillation found for them, in place.

    Raises ArtifactError for weights that are far from the convolution's own: they are of another network.
    """
    for conv in model.graph:
        if (kernel := kernels.get(conv.name or "")) is None or conv.op_type != "Conv":
            continue
        own, _ = kernel_and_bias(conv)
        if kernel.shape != own.shape or np.linalg.norm(kernel - own) > FARTHEST * np.linalg.norm(own):
            raise ArtifactError(
                f"the distilled weights of {conv.name} are not of this network: {kernel.shape}, the network's are "
                f"{own.shape}; remove the calibration cache to distil again"
            )
        conv.replace_input_with(1, constant(conv, kernel, f"{conv.name}.distilled"))
