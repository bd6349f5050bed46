"""A CGNet in PyTorch -> the same function as an ONNX graph: normalised f32 in, logits out, nothing fused yet.

torch.fx traces the network down to torch.nn's own modules; running that trace on ONNX values writes a node for each
step. The tables below have every step of a CGNet. torch.onnx.export takes some fifty times as long for the same nodes.
(plain.py still writes its file, to compare with.)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx, nn

from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.graph import Array, Attribute, fixed_size, tidy
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Res

# The newest opset whose convolutions ONNX Runtime 1.2x runs in its blocked layout, and that TensorRT 10 parses.
TRACED_OPSET = 20
IR_VERSION = 10


def trace(model: CGNet, res: Res, *, batch: int = 1, dynamic: Dynamic = "none") -> ir.Model:
    """`input` (N, 3, H, W) f32, normalised -> `logits` (N, K, H, W) f32.

    dynamic: which sizes the graph leaves open; `batch` and `res` fix the others. Nodes are named after the
    module that they come from (`stage3.4.entry.conv/Conv`).
    """
    size = ("H", "W") if dynamic in ("size", "both") else (res.height, res.width)
    sizes = ("N" if dynamic in ("batch", "both") else batch, 3, *size)
    f32 = ir.TensorType(ir.DataType.FLOAT)
    tensor = ir.Value(name="input", type=f32, shape=ir.Shape(sizes))
    graph = ir.Graph([tensor], [], nodes=[], opset_imports={"": TRACED_OPSET}, name="cgnet")
    logits: ir.Value = Writer(model.eval(), graph).run(tensor)
    logits.name, logits.shape = "logits", ir.Shape([sizes[0], model.classes, *size])
    graph.outputs.append(logits)
    traced = ir.Model(graph, ir_version=IR_VERSION)
    tidy(traced)
    return traced


class Writer(fx.Interpreter):
    """Runs a traced network on values of `written`: each step appends the node that computes it."""

    def __init__(self, model: CGNet, written: ir.Graph) -> None:
        super().__init__(fx.symbolic_trace(model))
        self.classes = model.classes
        self.written = written
        self.scope = ""  # the module that takes the step

    def run_node(self, n: fx.Node) -> Any:
        modules = [path for path, _ in (n.meta.get("nn_module_stack") or {}).values()]
        self.scope = modules[-1] if modules else ""
        return super().run_node(n)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ir.Value:
        module = self.fetch_attr(target)
        return step(MODULES, type(module))(self, module, *args)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ir.Value:
        return step(FUNCTIONS, target)(self, *args, **kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ir.Value:
        return step(METHODS, target)(self, *args, **kwargs)

    def node(self, op: str, *inputs: ir.Value | None, **attributes: Attribute) -> ir.Value:
        """The result of a new node."""
        node = ir.node(op, inputs, attributes, name=f"{self.scope}/{op}" if self.scope else op)
        self.written.append(node)
        result = node.outputs[0]
        result.type = ir.TensorType(ir.DataType.INT64 if op == "Shape" else ir.DataType.FLOAT)
        return result

    def constant(self, name: str, array: Array) -> ir.Value:
        """An initializer of that name, which is the same one each time."""
        name = f"{self.scope}.{name}" if self.scope else name
        if name not in self.written.initializers:
            tensor = ir.tensor(array, name=name)
            self.written.register_initializer(
                ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape))
            )
        return self.written.initializers[name]

    def tensors(self, module: nn.Module, *names: str) -> list[ir.Value | None]:
        """Weights of a module, None for one that it doesn't have."""
        held = {name: getattr(module, name) for name in names}
        return [None if t is None else self.constant(name, t.detach().numpy().copy()) for name, t in held.items()]


def step(known: Mapping[Any, Callable[..., ir.Value]], kind: Any) -> Callable[..., ir.Value]:
    """What writes a step, or ValueError for one that has no entry below."""
    _demand(kind in known, str(kind))
    return known[kind]


def _demand(known: bool, what: str) -> None:
    """Raise ValueError for what a CGNet did not compute when this was written."""
    if not known:
        raise ValueError(f"trace.py has no entry for {what}, which the network computes")


def convolution(to: Writer, conv: nn.Conv2d, x: ir.Value) -> ir.Value:
    kernel, bias = to.tensors(conv, "weight", "bias")
    return to.node(
        "Conv",
        x,
        kernel,
        *([] if bias is None else [bias]),
        kernel_shape=conv.kernel_size,
        strides=conv.stride,
        pads=[int(pad) for pad in conv.padding] * 2,
        dilations=conv.dilation,
        group=conv.groups,
    )


def batch_norm(to: Writer, norm: nn.BatchNorm2d, x: ir.Value) -> ir.Value:
    held = to.tensors(norm, "weight", "bias", "running_mean", "running_var")
    return to.node("BatchNormalization", x, *held, epsilon=norm.eps)


def prelu(to: Writer, act: nn.PReLU, x: ir.Value) -> ir.Value:
    return to.node("PRelu", x, to.constant("weight", act.weight.detach().numpy()[:, None, None].copy()))


def linear(to: Writer, layer: nn.Linear, x: ir.Value) -> ir.Value:
    return to.node("Gemm", x, *to.tensors(layer, "weight", "bias"), transB=1)


def pool(to: Writer, x: ir.Value, kernel: int, *, stride: int, padding: int) -> ir.Value:
    shape, strides, pads = [kernel] * 2, [stride] * 2, [padding] * 4
    return to.node("AveragePool", x, kernel_shape=shape, strides=strides, pads=pads, count_include_pad=1)


def mean(to: Writer, x: ir.Value, axes: Sequence[int]) -> ir.Value:
    return to.node("ReduceMean", x, to.constant("axes", np.asarray(axes, np.int64)), keepdims=0)


def unsqueeze(to: Writer, x: ir.Value, axis: int) -> ir.Value:
    return to.node("Unsqueeze", x, to.constant("axis", np.asarray([axis], np.int64)))


def attribute(to: Writer, x: ir.Value, name: str) -> ir.Value:
    """`x.shape`: the value itself, for `sides` to take the shape of."""
    _demand(name == "shape", f"x.{name}")
    return x


def sides(to: Writer, x: ir.Value, which: slice) -> ir.Value:
    """`x.shape[-2:]`: (H, W) of the network's input."""
    _demand(which == slice(-2, None), f"x.shape[{which}]")
    if size := fixed_size(x):
        return to.constant("size", np.asarray(size, np.int64))
    return to.node("Shape", x, start=2, end=4)


def resize(
    to: Writer, x: ir.Value, *, size: ir.Value, mode: str, align_corners: bool, **unset: bool | None
) -> ir.Value:
    """Bilinear, to (H, W): ONNX wants the other two as well, which stay as they are."""
    _demand(mode == "bilinear" and not align_corners and not any(unset.values()), "another interpolation")
    batch = to.written.inputs[0].shape
    if size.const_value is not None and batch is not None and isinstance(batch[0], int):
        sizes = np.asarray([batch[0], to.classes, *size.const_value.numpy()], np.int64)
        target = to.constant("sizes", sizes)
    else:
        target = to.node("Concat", to.node("Shape", x, start=0, end=2), size, axis=0)
        target.type = ir.TensorType(ir.DataType.INT64)
    return to.node("Resize", x, None, None, target, mode="linear", coordinate_transformation_mode="half_pixel")


MODULES: Mapping[type[nn.Module], Callable[..., ir.Value]] = {
    nn.Conv2d: convolution,
    nn.BatchNorm2d: batch_norm,
    nn.PReLU: prelu,
    nn.Linear: linear,
}
FUNCTIONS: Mapping[Callable[..., Any], Callable[..., ir.Value]] = {
    torch.cat: lambda to, parts, axis: to.node("Concat", *parts, axis=axis),
    torch.sigmoid: lambda to, x: to.node("Sigmoid", x),
    F.relu: lambda to, x, inplace: to.node("Relu", x),
    F.avg_pool2d: pool,
    F.interpolate: resize,
    operator.add: lambda to, x, y: to.node("Add", x, y),
    operator.mul: lambda to, x, y: to.node("Mul", x, y),
    operator.getitem: sides,
    getattr: attribute,
}
METHODS: Mapping[str, Callable[..., ir.Value]] = {"mean": mean, "unsqueeze": unsqueeze}
