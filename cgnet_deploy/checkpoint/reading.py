"""Load a checkpoint: the official code's, mmsegmentation's or our own.

All three hold the same tensors under other names (keys.py). M, N, K, the classifier's bias and the format
are read from the names and shapes, and every tensor is checked before any is used. No published format says
how a frame becomes the network's input: that contract is inferred from format and class count, logged, and
stored in our own format, which is a safetensors file with the ModelSpec in its metadata (writing.py).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cgnet_deploy.checkpoint.assemble import assemble
from cgnet_deploy.checkpoint.container import Contents, read_container, reason, short_notes
from cgnet_deploy.checkpoint.keys import Format
from cgnet_deploy.contracts import contract_name, known_as, model_spec
from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Color, ModelSpec, Triple

log = logging.getLogger(__name__)

SCHEMA = 1  # of the description in our own format


@dataclass(frozen=True, slots=True)
class Network:
    """A checkpoint before its input contract is settled. spec: None where the file has none."""

    path: Path
    model: CGNet
    format: Format
    spec: ModelSpec | None
    sha256: str
    provenance: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network that is ready to use.

    model: in eval mode, float32, on the CPU. contract: the name of the input contract, or "custom".
    provenance: what the file says about how it was made.
    """

    path: Path
    model: CGNet
    spec: ModelSpec
    format: Format
    contract: str
    sha256: str
    provenance: Mapping[str, str]


def load_checkpoint(
    path: str | Path,
    *,
    contract: str | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
) -> Checkpoint:
    """Load the checkpoint at `path`, in any of the three formats.

    contract: the name of a built-in input contract (contracts.py). mean, std: three numbers each, in the order of
    `color`, on the 0-255 scale. color: "rgb" or "bgr". Each overrides what the file says, or what is inferred.

    Raises CheckpointError for a file that can't be used, UsageError for an unknown contract or if none can be inferred.
    """
    path = Path(path)
    network = read_network(path)
    classes, blocks = network.model.classes, network.model.blocks
    spec = network.spec or model_spec(contract or contract_name(network.format, classes), classes, blocks)
    base = model_spec(contract, classes, blocks).input if contract else spec.input
    chosen = replace(base, mean=mean or base.mean, std=std or base.std, color=color or base.color)
    spec = replace(spec, input=chosen)
    if contract is None and network.spec is None:
        log.info(
            f"{path}: {network.format} format, {spec.name}, {classes} classes; input contract "
            f"{known_as(chosen)}, {chosen.color.upper()} minus {chosen.mean}, divided by {chosen.std}; "
            f"choose another with --contract"
        )
    return Checkpoint(path, network.model, spec, network.format, known_as(chosen), network.sha256, network.provenance)


def read_network(path: Path) -> Network:
    """The network in the file at `path`, without settling its input contract. Raises CheckpointError."""
    contents = read_container(path)
    model, fmt = assemble(path, contents.tensors)
    spec, provenance = _description(path, contents, model)
    return Network(path, model, fmt, spec, contents.sha256, provenance)


def _description(path: Path, contents: Contents, model: CGNet) -> tuple[ModelSpec | None, Mapping[str, str]]:
    """The spec and the provenance that our own format stores; from other formats, only notes."""
    text = contents.metadata.get("cgnet")
    if text is None:
        return None, contents.notes
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}, wanted {SCHEMA}")
        spec, provenance = ModelSpec.from_json(data["spec"]), short_notes(data["provenance"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, UsageError) as error:
        raise CheckpointError(f"{path}: its description can't be read ({reason(error)})") from error
    if (spec.classes, spec.blocks) != (model.classes, model.blocks):
        raise CheckpointError(
            f"{path}: its description says {spec.classes} classes and blocks {spec.blocks}, "
            f"its weights {model.classes} and {model.blocks}"
        )
    return spec, provenance
