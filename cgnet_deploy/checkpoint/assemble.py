"""From named tensors to a network: which CGNet it is, read from the names, and whether every tensor is sound.

M, N, K, the classifier's bias and the format are read from the names and from one shape. Each tensor's
presence, shape, type and finiteness is checked, and tensors that no CGNet has are refused: a file of another
network is never loaded in part. Counters of batches, which inference never reads, may be of any kind or missing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cgnet_deploy.checkpoint.keys import CLASSIFIER, FORMATS, Format, block, renamed, stem
from cgnet_deploy.checkpoint.refused import Inert
from cgnet_deploy.checkpoint.reparametrized import multiplied_out
from cgnet_deploy.checkpoint.wrappers import MMCV_AVERAGE, Weights
from cgnet_deploy.errors import CheckpointError
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import MAX_BLOCKS, MAX_CLASSES

log = logging.getLogger(__name__)

# What training adds: mmsegmentation's, auxiliary heads, losses and metrics with tensors of their own, averages; thop's
# counts are leaves of every module.
TRAINING_ONLY = re.compile(rf"data_preprocessor\.|{MMCV_AVERAGE}|aux\w*\.|\w*(loss|criteri|metric)\w*\.", re.IGNORECASE)
TRAINING_LEAVES = ("n_averaged", "steps", "total_ops", "total_params")
COUNTER = "num_batches_tracked"


def assemble(path: Path, weights: Weights) -> tuple[CGNet, Format]:
    """The network made of `weights`, in eval mode, and the format of their names.

    Raises CheckpointError, naming `path`, unless they are those of one sound CGNet.
    """
    if weights.twice:
        raise CheckpointError(f"{path} names a tensor twice, with and without a wrapper: it mixes two networks")
    named = multiplied_out(path, weights.tensors)
    fmt = _format(path, named)
    head = f"{CLASSIFIER.of(fmt)}.weight"
    bias = f"{CLASSIFIER.of(fmt)}.bias"
    model = CGNet(_classes(path, head, named), _blocks(named, fmt), classifier_bias=bias in named)
    wanted = model.state_dict()
    theirs = renamed(list(wanted), model.blocks, fmt)
    missing = [key for key in theirs.values() if key not in named and not key.endswith(COUNTER)]
    if missing:
        raise CheckpointError(
            f"{path} lacks {some(missing)} of a CGNet with blocks {model.blocks}: it was cut or altered"
        )
    _check_extra(path, sorted(set(named) - set(theirs.values())))
    if weights.outside:
        log.warning(f"{path}: ignoring {some(weights.outside)}, which stand beside the network {weights.name!r}")
    model.load_state_dict({ours: _checked(path, key, named.get(key), wanted[ours]) for ours, key in theirs.items()})
    return model.eval(), fmt


def some(keys: Iterable[str], shown: int = 3) -> str:
    """The first few of `keys`, shortened: a file may hold any number of names of any length."""
    names = list(keys)
    text = ", ".join(repr(name[:60]) for name in names[:shown]) or "nothing"
    return text if len(names) <= shown else f"{text} and {len(names) - shown} more"


def _format(path: Path, tensors: Mapping[str, Any]) -> Format:
    for fmt in FORMATS:
        if f"{stem(0).of(fmt)}.conv.weight" in tensors or f"{CLASSIFIER.of(fmt)}.weight" in tensors:
            return fmt
    firsts = " or ".join(f"{stem(0).of(fmt)}.conv.weight ({fmt})" for fmt in FORMATS)
    raise CheckpointError(f"{path} is not a CGNet: wanted {firsts}, it has {some(tensors)}")


def _classes(path: Path, head: str, tensors: Mapping[str, Any]) -> int:
    if head not in tensors:
        raise CheckpointError(f"{path} lacks {head!r}: it is a network without its classifier")
    shape = tuple(_dense(path, head, tensors[head]).shape)
    if not shape or not 1 <= shape[0] <= MAX_CLASSES:
        raise CheckpointError(f"{path}: {head!r} has shape {shape}, not that of 1 to {MAX_CLASSES} classes")
    return int(shape[0])


def _blocks(tensors: Iterable[str], fmt: Format) -> tuple[int, int]:
    """(M, N) from the highest block number in each stage, so that a gap shows up as missing tensors."""
    modules = {name[:dot] for name in tensors for dot, letter in enumerate(name) if letter == "."}

    def count(stage: int) -> int:
        return max([2, *(i + 1 for i in range(MAX_BLOCKS) if block(stage, i).of(fmt) in modules)])

    return count(2), count(3)


def _check_extra(path: Path, extra: list[str]) -> None:
    foreign = [key for key in extra if not TRAINING_ONLY.match(key) and key.split(".")[-1] not in TRAINING_LEAVES]
    if foreign:
        raise CheckpointError(f"{path} also holds {some(foreign)}, which no CGNet has: it is another network")
    if extra:
        log.info(f"{path}: ignoring {some(extra)}, which only training uses")


def _dense(path: Path, key: str, tensor: Any) -> Tensor:
    if isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu":
        return tensor
    hint = "; NumPy's arrays are read once torch.from_numpy has made them tensors" if isinstance(tensor, Inert) else ""
    raise CheckpointError(f"{path}: {key!r} is not a dense tensor{hint}")


def _checked(path: Path, key: str, tensor: Any, wanted: Tensor) -> Tensor:
    if key.endswith(COUNTER):
        return _counter(tensor, wanted)
    tensor = _dense(path, key, tensor)
    if tensor.shape != wanted.shape:  # before any element is read: a file can claim a view of any size
        raise CheckpointError(f"{path}: {key!r} has shape {tuple(tensor.shape)}, wanted {tuple(wanted.shape)}")
    if not tensor.is_floating_point():
        raise CheckpointError(f"{path}: {key!r} has type {tensor.dtype}, wanted {wanted.dtype}")
    values: Tensor = tensor.detach().float()  # exact but for float64; float8 knows no isfinite
    if not torch.isfinite(values).all():
        raise CheckpointError(f"{path}: {key!r} holds NaN or infinity: training diverged or the file is damaged")
    if key.endswith("running_var") and (values < 0).any():
        raise CheckpointError(f"{path}: {key!r} holds a negative variance: the file is damaged")
    return values


def _counter(tensor: Any, wanted: Tensor) -> Tensor:
    """How many batches BatchNorm has seen: kept where it is an integer of any width, else 0."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.device.type != "cpu":
        return wanted
    if tensor.numel() != 1 or tensor.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        return wanted
    return torch.tensor(int(tensor), dtype=wanted.dtype)
