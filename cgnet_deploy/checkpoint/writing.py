"""Save a checkpoint in any of the three formats. Files are written atomically."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgnet_deploy.checkpoint.container import short_notes
from cgnet_deploy.checkpoint.keys import Format, renamed
from cgnet_deploy.checkpoint.meta import mmseg_meta
from cgnet_deploy.checkpoint.reading import SCHEMA
from cgnet_deploy.errors import CheckpointError, UsageError, require
from cgnet_deploy.files import write_bytes
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import ModelSpec


def save_checkpoint(path: Path, model: CGNet, spec: ModelSpec, provenance: Mapping[str, str]) -> str:
    """Write our own format and return the file's sha256.

    provenance: what a reader should know about how the weights were made; short texts only.
    Raises UsageError if `spec` describes another network than `model`.
    """
    if (spec.classes, spec.blocks) != (model.classes, model.blocks):
        raise UsageError(f"the spec of {spec.name} with {spec.classes} classes does not describe this network")
    safetensors = require("safetensors.torch", extra="export")
    # One metadata entry only: safetensors writes several in random order, and equal weights must give equal files.
    description = json.dumps({"schema": SCHEMA, "spec": spec.to_json(), "provenance": short_notes(provenance)})
    return _write(path, safetensors.save(_weights(model), metadata={"cgnet": description}))


def save_official(path: Path, model: CGNet, provenance: Mapping[str, str]) -> str:
    """Write what the official code writes, {'epoch', 'model'}, and return the file's sha256.

    Raises CheckpointError if the classifier has a bias, which that format can't hold.
    """
    weights = _weights(model)
    bias = weights.pop("classifier.bias", None)
    if bias is not None and bias.any():
        raise CheckpointError("the classifier has a bias, which the official format can't hold; use mmseg or cgnet")
    epoch = provenance.get("epoch", "0")
    named = _named(weights, model, "official")
    return _write_torch(path, {"epoch": int(epoch) if epoch.isdecimal() else 0, "model": named})


def save_mmseg(path: Path, model: CGNet, provenance: Mapping[str, str], spec: ModelSpec | None = None) -> str:
    """Write what mmsegmentation writes, {'meta', 'state_dict'}, and return the file's sha256.

    spec: goes into the meta, where mmsegmentation 1.x and `load_checkpoint` read it. mmsegmentation's classifier always
    has a bias: one of zeros if `model` has none.
    """
    weights = _weights(model)
    weights.setdefault("classifier.bias", torch.zeros(model.classes))
    meta: dict[str, Any] = {k: int(text) if text.isdecimal() else text for k, text in short_notes(provenance).items()}
    if spec is not None:
        meta |= mmseg_meta(spec)
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
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()
