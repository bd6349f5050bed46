"""A checkpoint as an engine is asked for it."""

from __future__ import annotations

from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res


def requested(request: Request) -> Checkpoint:
    """The checkpoint, with what the user says where neither the file nor its class count says it. Raises as both do."""
    hints, (_, height, width) = request.hints, request.shape
    try:
        return load_checkpoint(request.path, contract=hints.contract, weights=hints.weights)
    except UsageError:
        if not any((hints.table, hints.mean, hints.std, hints.color)):
            raise
    res = Res(height, width) if height and width else None
    return load_checkpoint(
        request.path,
        contract=hints.contract,
        names=hints.table,
        mean=hints.mean,
        std=hints.std,
        color=hints.color,
        res=res,
        weights=hints.weights,
    )
