"""A CGNet in PyTorch -> the same function as an ONNX graph: normalised f32 in, logits out, nothing fused yet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch

from cgnet_deploy.errors import require
from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.graph import required, tidy
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Res

# The newest opset whose convolutions ONNX Runtime 1.2x runs in its blocked layout, and that TensorRT 10 parses.
TRACED_OPSET = 20


def trace(model: CGNet, res: Res, *, batch: int = 1, dynamic: Dynamic = "none") -> ir.Model:
    """`input` (N, 3, H, W) f32, normalised -> `logits` (N, K, H, W) f32.

    dynamic: which sizes the graph leaves open; `batch` and `res` fix the others. Nodes are named after the
    module that they come from (`stage3.4.entry.conv/Conv`).
    """
    require("onnxscript", extra="export")
    from onnxscript import optimizer

    open_batch, open_size = dynamic in ("batch", "both"), dynamic in ("size", "both")
    # torch.export takes an example size of 1 for a constant, and a multiple of 8 for a rule to guard.
    example = torch.zeros(
        max(batch, 2) if open_batch else batch, 3, *((96, 136) if open_size else res), dtype=torch.float32
    )
    dims = ({0: "N"} if open_batch else {}) | ({2: "H", 3: "W"} if open_size else {})
    shapes = (dict.fromkeys(dims, torch.export.Dim.DYNAMIC),) if dims else None
    with torch.no_grad(), quiet():
        program = torch.onnx.export(
            model.eval(),
            (example,),
            dynamo=True,
            optimize=False,
            opset_version=TRACED_OPSET,
            verbose=False,
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=shapes,
        )
    graph = required(program, "what torch.onnx.export gives").model
    _name_nodes(graph)
    optimizer.fold_constants(graph)
    passes.ClearMetadataAndDocStringPass()(graph)
    sizes = [dims.get(axis, size) for axis, size in enumerate(example.shape)]
    graph.graph.inputs[0].shape = ir.Shape(sizes)
    graph.graph.outputs[0].shape = ir.Shape([sizes[0], model.classes, *sizes[2:]])
    for node in graph.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None  # torch's own symbols; inferred again from the input's
    tidy(graph)
    return graph


def _name_nodes(model: ir.Model) -> None:
    for node in model.graph:
        scope = node.metadata_props.get("namespace", "").split("/")
        module = scope[-2].split(":")[0].strip() if len(scope) > 1 else ""
        node.name = f"{module}/{node.op_type}" if module else node.op_type


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter warns of its own deprecations and of a missing torchvision, on which no user can act."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
