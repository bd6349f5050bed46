"""The same weights in another format: every tensor passes unchanged.

What the wanted format has no place for (a classifier's bias in the official one) is an error. Classes and input
contract go along, in mmsegmentation's format as its meta; the official format stores none.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cgnet_deploy.checkpoint.keys import Format
from cgnet_deploy.checkpoint.reading import load_checkpoint, read_network
from cgnet_deploy.checkpoint.writing import save_checkpoint, save_mmseg, save_official
from cgnet_deploy.contracts import contract_name, known_as
from cgnet_deploy.errors import UsageError
from cgnet_deploy.places import check_writable
from cgnet_deploy.spec import Color, ModelSpec, Res, Triple

log = logging.getLogger(__name__)


def convert(
    ckpt: str | Path,
    out: str | Path,
    to: Format,
    *,
    contract: str | None = None,
    names: str | Path | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    res: Res | None = None,
    weights: str | None = None,
) -> str:
    """Convert the checkpoint `ckpt` to the format `to`, write it to `out` and return its sha256.

    contract, names, mean, std, color, res: as of `load_checkpoint`; not with to="official", which can't store them.
    weights: as of `load_checkpoint`.

    Raises CheckpointError, UsageError.
    """
    ckpt, out = Path(ckpt), Path(out)
    check_writable(out)
    if out.exists() and ckpt.exists() and out.samefile(ckpt):
        raise UsageError(f"{out} is the checkpoint itself; give the output another name")
    if to == "cgnet":
        checkpoint = load_checkpoint(
            ckpt, contract=contract, names=names, mean=mean, std=std, color=color, res=res, weights=weights
        )
        source = {
            "source": checkpoint.path.name,
            "source_format": checkpoint.format,
            "source_sha256": checkpoint.sha256,
        }
        return save_checkpoint(out, checkpoint.model, checkpoint.spec, {**checkpoint.provenance, **source})
    given = any(option is not None for option in (contract, names, mean, std, color, res))
    if to == "official" and given:
        raise UsageError("the official format can't store classes or an input contract; use --to cgnet or --to mmseg")
    network = read_network(ckpt, weights)
    if to == "mmseg":
        spec = network.spec
        if given:
            spec = load_checkpoint(
                ckpt, contract=contract, names=names, mean=mean, std=std, color=color, res=res, weights=weights
            ).spec
        return save_mmseg(out, network.model, network.provenance, spec)
    if network.spec is not None:
        _warn_of_lost_contract(network.spec)
    return save_official(out, network.model, network.provenance)


def _warn_of_lost_contract(spec: ModelSpec) -> None:
    """Warn if a reader of an official file would infer another input contract than `spec` has."""
    stored = known_as(spec.input)
    try:
        inferred = contract_name("official", spec.classes)
    except UsageError:
        inferred = "no contract"
    if inferred != stored:
        log.warning(f"the official format can't store the input contract {stored}; readers will infer {inferred}")
