"""Whether a checkpoint runs by our own kernels or by plain PyTorch, where nobody chose."""

from __future__ import annotations

import logging

import torch

from cgnet_deploy.artifact import Shape
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.errors import EngineUnavailable, MissingPackage, require
from cgnet_deploy.spec import Precision

log = logging.getLogger(__name__)


def fast_or_none(checkpoint: Checkpoint, shape: Shape) -> Engine | None:
    """The fast engine in f32, the precision of a checkpoint; None where it can't run, with the reason in the log.

    Without CUDA there is no reason to give: the fast path is for GPUs.
    """
    if not torch.cuda.is_available():
        return None
    try:
        require("triton", extra="fast")
        from cgnet_deploy.engines.fast.engine import FastEngine

        return FastEngine(checkpoint, shape, precision=Precision.F32)
    except (MissingPackage, EngineUnavailable) as reason:
        log.info(f"{checkpoint.path}: running by plain PyTorch: {reason}")
        return None
