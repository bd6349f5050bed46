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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgnet_deploy.artifact import replacing
from cgnet_deploy.container import Contents, one_line, read_container, short_notes
from cgnet_deploy.contracts import CONTRACTS, contract_name, known_as, model_spec
from cgnet_deploy.errors import CheckpointError, UsageError, require
from cgnet_deploy.keys import CLASSIFIER, Format, block, renamed, stem
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import MAX_BLOCKS, MAX_CLASSES, Color, ModelSpec, Triple
from cgnet_deploy.terminal import say

SCHEMA = 1
FORMATS: tuple[Format, ...] = ("cgnet", "official", "mmseg")
TRAINING_ONLY = ("data_preprocessor.", "auxiliary_head.", "ema_")  # what mmseg trains with and never infers with


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
    path: Path,
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
    network = read_network(path)
    model, stored = network.model, network.spec
    if stored is None or contract is not None:
        name = contract or contract_name(network.format, model.classes)
        spec = model_spec(name, model.classes, model.blocks)
        if stored is not None:  # the classes are the network's own, whatever it is fed with
            spec = replace(stored, input=spec.input)
    else:
        spec = stored
    given = replace(
        spec.input, mean=mean or spec.input.mean, std=std or spec.input.std, color=color or spec.input.color
    )
    spec = replace(spec, input=given)
    if stored is None and contract is None:
        say(
            f"{path}: {network.format} format, {spec.name}, {spec.classes} classes; input contract "
            f"{known_as(given)} ({given.color} minus {given.mean}, over {given.std}) inferred from them; "
            f"--contract chooses another of {', '.join(CONTRACTS)}"
        )
    return Checkpoint(path, model, spec, network.format, known_as(given), network.sha256, network.provenance)


def read_network(path: Path) -> Network:
    """The network in the file at `path`, whatever it is fed with. Raises CheckpointError."""
    contents = read_container(path)
    tensors = _bare(contents.tensors)
    fmt = _recognise(path, tensors)
    model = _build(path, tensors, fmt)
    spec, provenance = _description(path, contents, model)
    return Network(path, model, fmt, spec, contents.sha256, provenance)


def _bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Without the wrapper that several GPUs add, and without dropout's place in the official classifier."""
    keys = {str(key): str(key).removeprefix("module.") for key in tensors}
    dropout = {"classifier.1.conv.weight": f"{CLASSIFIER.official}.weight"}
    return {dropout.get(keys[str(key)], keys[str(key)]): value for key, value in tensors.items()}


def _recognise(path: Path, tensors: Mapping[str, Any]) -> Format:
    for fmt in FORMATS:
        if any(key in tensors for key in (f"{getattr(stem(0), fmt)}.conv.weight", f"{_classifier(fmt)}.weight")):
            return fmt
    raise CheckpointError(
        f"{path} is not a CGNet: wanted keys such as level1_0.conv.weight (official) or "
        f"backbone.stem.0.conv.weight (mmseg), it has {_some(tensors)}"
    )


def _classifier(fmt: Format) -> str:
    name: str = getattr(CLASSIFIER, fmt)
    return name


def _build(path: Path, tensors: Mapping[str, Any], fmt: Format) -> CGNet:
    """The network that the keys tell of, with every tensor of the file in it."""
    head = f"{_classifier(fmt)}.weight"
    if head not in tensors:
        raise CheckpointError(f"{path} lacks {head}: the classifier is missing")
    classes = getattr(tensors[head], "shape", ())[:1]
    if not classes or not 1 <= classes[0] <= MAX_CLASSES:
        raise CheckpointError(f"{path}: {head} is not a classifier of 1 to {MAX_CLASSES} classes")
    model = CGNet(classes[0], _blocks(tensors, fmt), classifier_bias=f"{_classifier(fmt)}.bias" in tensors)
    wanted = model.state_dict()
    theirs = renamed(list(wanted), model.blocks, fmt)
    missing = [key for key in theirs.values() if key not in tensors]
    if missing:
        raise CheckpointError(f"{path} lacks {_some(missing)}, which a CGNet {model.blocks} has: cut or altered")
    _check_extra(path, set(tensors) - set(theirs.values()))
    state = {ours: _checked(path, key, tensors[key], wanted[ours]) for ours, key in theirs.items()}
    model.load_state_dict(state)
    return model.eval()


def _blocks(tensors: Iterable[str], fmt: Format) -> tuple[int, int]:
    """(M, N) by the highest block of each stage that any key speaks of."""
    parts = {key[:dot] for key in tensors for dot in range(len(key)) if key[dot] == "."}
    m, n = (max([2] + [i + 1 for i in range(MAX_BLOCKS) if getattr(block(stage, i), fmt) in parts]) for stage in (2, 3))
    return m, n


def _check_extra(path: Path, extra: set[str]) -> None:
    ignored = {key for key in extra if key.startswith(TRAINING_ONLY)}
    if extra - ignored:
        raise CheckpointError(f"{path} also holds {_some(extra - ignored)}, which no CGNet has: of another network")
    if ignored:
        say(f"{path}: ignoring {_some(ignored)}, which only training uses")


def _checked(path: Path, key: str, tensor: Any, wanted: Tensor) -> Tensor:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise CheckpointError(f"{path}: {key} is not a dense tensor")
    if tensor.shape != wanted.shape:
        raise CheckpointError(f"{path}: {key} has shape {tuple(tensor.shape)}, wanted {tuple(wanted.shape)}")
    if wanted.is_floating_point():
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise CheckpointError(f"{path}: {key} is of {tensor.dtype}, wanted float32 (or a shorter float)")
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {key} holds NaN or infinity: the training diverged, or the file is damaged")
        if key.endswith("running_var") and (tensor < 0).any():
            raise CheckpointError(f"{path}: {key} holds a negative variance: the file is damaged")
    elif tensor.dtype != wanted.dtype:
        raise CheckpointError(f"{path}: {key} is of {tensor.dtype}, wanted {wanted.dtype}")
    return tensor.detach()


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
        raise CheckpointError(f"{path}: its description can't be read ({one_line(error)})") from error
    if (spec.classes, spec.blocks) != (model.classes, model.blocks):
        raise CheckpointError(
            f"{path}: its description says {spec.classes} classes and blocks {spec.blocks}, "
            f"its weights {model.classes} and {model.blocks}"
        )
    return spec, provenance


def _some(keys: Iterable[str], shown: int = 3) -> str:
    """The first few of `keys`, however many and however long they are."""
    names = sorted(keys) if isinstance(keys, set) else list(keys)
    text = ", ".join(repr(name[:60]) for name in names[:shown]) or "none"
    return text if len(names) <= shown else f"{text} and {len(names) - shown} more"


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
