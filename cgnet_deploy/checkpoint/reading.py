"""Load a checkpoint: the official code's, mmsegmentation's or our own.

All three hold the same tensors under other names (keys.py). M, N, K, the classifier's bias and the format
are read from the names and shapes, and every tensor is checked before any is used. What the classes are and how a
frame becomes the network's input is read from mmsegmentation's meta, or inferred, and logged (settle.py). It is stored
in our own format, which is a safetensors file with the ModelSpec in its metadata (writing.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.checkpoint.assemble import assemble
from cgnet_deploy.checkpoint.container import Contents, read_container, short_notes
from cgnet_deploy.checkpoint.keys import Format
from cgnet_deploy.checkpoint.meta import Meta
from cgnet_deploy.checkpoint.settle import Overrides, settle
from cgnet_deploy.checkpoint.unparsed import reason
from cgnet_deploy.contracts import ClassTable, known_as
from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.model import CGNet
from cgnet_deploy.names import read_names
from cgnet_deploy.spec import Color, ModelSpec, Res, Triple

SCHEMA = 1  # of the description in our own format


@dataclass(frozen=True, slots=True)
class Network:
    """A checkpoint before its input contract is settled. spec: our own format's. meta: mmsegmentation's."""

    path: Path
    model: CGNet
    format: Format
    spec: ModelSpec | None
    sha256: str
    provenance: Mapping[str, str]
    meta: Meta


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
    names: str | Path | ClassTable | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    res: Res | str | None = None,
    weights: str | None = None,
) -> Checkpoint:
    """Load the checkpoint at `path`, in any of the three formats.

    contract: the name of a built-in input contract (contracts.py). names: a file of class names and colours (names.py),
    or what it holds. mean, std: three numbers each, in the order of `color`, on the 0-255 scale. color: "rgb" or "bgr".
    Each overrides what the file says, or what is inferred. res: the size where neither file nor contract has one.
    weights: of a file with several sets, "ema" for the running average, "raw" for the other, or a set's name; default:
    the only one that is not called an average.

    Raises CheckpointError for a file that can't be used, UsageError for an unknown contract or if none can be inferred.
    """
    path = Path(path)
    network = read_network(path, weights)
    table = read_names(Path(names)) if isinstance(names, str | Path) else names
    overrides = Overrides(contract, table, mean, std, color, None if res is None else Res.of(res))
    model = network.model
    spec = settle(path, network.format, model.classes, model.blocks, network.spec, network.meta, overrides)
    return Checkpoint(path, model, spec, network.format, known_as(spec.input), network.sha256, network.provenance)


def read_network(path: Path, weights: str | None = None) -> Network:
    """The network in the file at `path`, without settling its input contract. Raises CheckpointError."""
    contents = read_container(path, weights)
    model, fmt = assemble(path, contents.weights)
    spec, provenance = _description(path, contents, model)
    return Network(path, model, fmt, spec, contents.sha256, provenance, contents.meta)


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
