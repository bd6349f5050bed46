"""The ONNX file that torch.onnx.export writes by itself: normalised f32 in, logits out; what a user gets without us.

It has no sidecar, as any other exporter's file. bench/tools/cpu.py compares with it.
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.export.graph import required, serialise
from cgnet_deploy.export.trace import TRACED_OPSET, quiet
from cgnet_deploy.files import write_bytes
from cgnet_deploy.spec import Res


def export_plain(ckpt: Path, res: Res, path: Path, weights: str | None = None) -> None:
    """Write the exporter's own graph of a checkpoint, batch 1, its optimiser on. Raises CheckpointError.

    weights: which of its sets of weights, as of `load_checkpoint`.
    """
    model = load_checkpoint(ckpt, weights=weights).model
    with torch.no_grad(), quiet():
        program = torch.onnx.export(
            model,
            (torch.zeros(1, 3, *res),),
            dynamo=True,
            opset_version=TRACED_OPSET,
            verbose=False,
            input_names=["input"],
            output_names=["logits"],
        )
    exported: ir.Model = required(program, "what torch.onnx.export gives").model
    write_bytes(path, serialise(exported))
