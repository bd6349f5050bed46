"""A checkpoint as an engine is asked for it."""

from __future__ import annotations

from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res


def requested(request: Request) -> Checkpoint:
    """The checkpoint, with what the user says where neither the file nor its class count says it. Raises as both do."""
    said, (_, height, width) = request.said, request.shape
    try:
        return load_checkpoint(request.path, contract=said.contract, weights=said.weights)
    except UsageError:
        if not any((said.table, said.mean, said.std, said.color)):
            raise
    res = Res(height, width) if height and width else None
    return load_checkpoint(
        request.path,
        contract=said.contract,
        names=said.table,
        mean=said.mean,
        std=said.std,
        color=said.color,
        res=res,
        weights=said.weights,
    )
