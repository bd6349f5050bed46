"""The ONNX file that torch.onnx.export writes by itself: normalised f32 in, logits out; what a user gets without us.

It has no sidecar, as any other exporter's file. bench/tools/cpu.py compares with it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.errors import require
from cgnet_deploy.export.graph import required, serialise
from cgnet_deploy.export.trace import TRACED_OPSET
from cgnet_deploy.files import write_bytes
from cgnet_deploy.spec import Res


def export_plain(ckpt: Path, res: Res, path: Path, weights: str | None = None) -> None:
    """Write the exporter's own graph of a checkpoint, batch 1, its optimiser on. Raises CheckpointError.

    weights: which of its sets of weights, as of `load_checkpoint`.
    """
    require("onnxscript", extra="export")
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
