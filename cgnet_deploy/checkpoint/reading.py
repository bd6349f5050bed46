"""Checkpoints in and out: the official code's, mmsegmentation's and our own.

All three hold the same tensors under other names (keys.py). M, N, K, the classifier's bias and the format
are read from the names and shapes; every tensor is checked before one is used. What no published format
says is how a frame becomes the network's input: that contract is chosen by format and class count, told on
stderr, and stored in our own format, which is a safetensors file with the ModelSpec in its metadata.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgnet_deploy.checkpoint.assemble import assemble
from cgnet_deploy.checkpoint.container import Contents, read_container, reason, short_notes
from cgnet_deploy.checkpoint.keys import Format, renamed
from cgnet_deploy.contracts import contract_name, known_as, model_spec
from cgnet_deploy.errors import CheckpointError, UsageError, require
from cgnet_deploy.files import replacing
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Color, ModelSpec, Triple

log = logging.getLogger(__name__)


SCHEMA = 1


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
    """A network that is ready to use. model: in eval mode, float32, on the CPU.

    contract: the name of the input contract, or "custom". provenance: what the file tells of its making.
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
    """The checkpoint at `path`, of any of the three formats.

    contract, mean, std, color: override what the file says, or what is inferred from it; mean and std in
    the order of `color`, on the 0-255 scale. Raises CheckpointError for a file that can't be used,
    UsageError for an unknown contract or for a network that none is known for.
    """
    path = Path(path)
    network = read_network(path)
    classes, blocks = network.model.classes, network.model.blocks
    spec = network.spec or model_spec(contract or contract_name(network.format, classes), classes, blocks)
    base = model_spec(contract, classes, blocks).input if contract else spec.input
    given = replace(base, mean=mean or base.mean, std=std or base.std, color=color or base.color)
    spec = replace(spec, input=given)
    if contract is None and network.spec is None:
        log.info(
            f"{path}: {network.format} format, {spec.name}, {classes} classes; input contract "
            f"{known_as(given)}, {given.color.upper()} minus {given.mean}, divided by {given.std}; "
            f"--contract takes another"
        )
    return Checkpoint(path, network.model, spec, network.format, known_as(given), network.sha256, network.provenance)


def read_network(path: Path) -> Network:
    """The network in the file at `path`, whatever it is fed with. Raises CheckpointError."""
    contents = read_container(path)
    model, fmt = assemble(path, contents.tensors)
    spec, provenance = _description(path, contents, model)
    return Network(path, model, fmt, spec, contents.sha256, provenance)


def _description(path: Path, contents: Contents, model: CGNet) -> tuple[ModelSpec | None, Mapping[str, str]]:
    """The spec and the provenance that our own format stores; of the others, only notes."""
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


def save_checkpoint(path: Path, model: CGNet, spec: ModelSpec, provenance: Mapping[str, str]) -> str:
    """Write our own format and return the file's sha256.

    provenance: what a reader should know of how the weights were made; short texts only.
    Raises UsageError if spec and model are of different networks.
    """
    if (spec.classes, spec.blocks) != (model.classes, model.blocks):
        raise UsageError(f"a spec of {spec.name} with {spec.classes} classes for another network")
    safetensors = require("safetensors.torch", extra="export")
    # One metadata entry only: safetensors writes several in random order, and equal weights must give equal files.
    description = json.dumps({"schema": SCHEMA, "spec": spec.to_json(), "provenance": short_notes(provenance)})
    return _write(path, safetensors.save(_weights(model), metadata={"cgnet": description}))


def save_official(path: Path, model: CGNet, provenance: Mapping[str, str]) -> str:
    """Write what the official code writes, {'epoch', 'model'}, and return the file's sha256.

    Raises CheckpointError if the classifier has a bias, for which that format has no place.
    """
    weights = _weights(model)
    bias = weights.pop("classifier.bias", None)
    if bias is not None and bias.any():
        raise CheckpointError("the classifier has a bias, which the official format can't hold; use mmseg or cgnet")
    epoch = provenance.get("epoch", "0")
    named = _named(weights, model, "official")
    return _write_torch(path, {"epoch": int(epoch) if epoch.isdecimal() else 0, "model": named})


def save_mmseg(path: Path, model: CGNet, provenance: Mapping[str, str]) -> str:
    """Write what mmsegmentation writes, {'meta', 'state_dict'}, and return the file's sha256.

    mmsegmentation's classifier always has a bias: one of zeros if `model` has none.
    """
    weights = _weights(model)
    weights.setdefault("classifier.bias", torch.zeros(model.classes))
    meta = {key: int(text) if text.isdecimal() else text for key, text in short_notes(provenance).items()}
    return _write_torch(path, {"meta": meta, "state_dict": _named(weights, model, "mmseg")})


def _weights(model: CGNet) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}


def _named(weights: Mapping[str, Tensor], model: CGNet, fmt: Format) -> dict[str, Tensor]:
    names = renamed(list(weights), model.blocks, fmt)
    return {names[key]: tensor for key, tensor in weights.items()}


def _write_torch(path: Path, content: dict[str, Any]) -> str:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> str:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
