"""Checkpoint files as bytes, good and bad, for the tests that read them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from cgnet_deploy.checkpoint.keys import Format, renamed
from cgnet_deploy.model import CGNet
from tests.networks import drawn


def named(model: CGNet, fmt: Format) -> dict[str, Tensor]:
    """The weights of `model` under the names of `fmt`."""
    state = model.state_dict()
    names = renamed(list(state), model.blocks, fmt)
    return {names[key]: tensor.clone() for key, tensor in state.items()}


def saved(content: object, *, zipped: bool = True) -> bytes:
    """What torch.save writes; not zipped is what it wrote until version 1.6."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@cache
def _model() -> CGNet:
    return drawn(11)


def official(change: Callable[[dict[str, Any]], object] = lambda _: None) -> bytes:
    """A file of the official code whose weights were altered by `change`."""
    weights: dict[str, Any] = named(_model(), "official")
    change(weights)
    return saved({"epoch": 7, "model": weights})


def replaced(key: str, value: object) -> bytes:
    return official(lambda weights: weights.update({key: value}))


def without(key: str) -> bytes:
    return official(lambda weights: weights.pop(key))


def poisoned(key: str, value: float) -> bytes:
    return official(lambda weights: weights[key].view(-1)[:1].fill_(value))


class Hostile:
    """An object whose pickle calls `function` when it is read."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def deflated() -> bytes:
    """The records of a good file, compressed, as torch never writes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(official())) as good, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bad:
        for record in good.namelist():
            bad.writestr(record, good.read(record))
    return buffer.getvalue()


def gapped() -> bytes:
    """A file that names the fourth normal block of stage 2 and has only the first."""
    return replaced("level2.3.conv1x1.conv.weight", torch.zeros(32, 64, 1, 1))


# name -> (the file, a part of the message). The hostile ones would create the folder that they get.
BAD: Mapping[str, tuple[Callable[[str], bytes], str]] = {
    "empty": (lambda _: b"", "is empty"),
    "random bytes": (lambda _: bytes(range(7, 256)) * 40, "is not a checkpoint: it begins with"),
    "random bytes after a pickle's first": (lambda _: b"\x80\x02" + bytes(range(255, 0, -1)) * 40, "damaged, cut"),
    "random bytes after a zip's first": (lambda _: b"PK\x03\x04" + bytes(range(256)) * 40, "damaged or cut short"),
    "random bytes after a header's length": (lambda _: bytes(8) + b"{" + bytes(range(256)) * 40, "damaged, cut short"),
    "a text": (lambda _: b"#!/bin/sh\necho hello\n", "is not a checkpoint"),
    "a cut zip": (lambda _: official()[:500_000], "damaged or cut short"),
    "a cut pickle": (lambda _: saved(named(_model(), "official"), zipped=False)[:500_000], "cut short"),
    "a cut safetensors file": (lambda _: safetensors.torch.save(named(_model(), "cgnet"))[:500_000], "cut short"),
    "a compressed zip": (lambda _: deflated(), "is a zip that torch didn't write"),
    "code among the weights": (lambda mark: replaced("b1.act.weight", Hostile(os.mkdir, mark)), "can run code"),
    "code beside the weights": (
        lambda mark: saved({"model": named(_model(), "official"), "extra": Hostile(os.mkdir, mark)}),
        "can run code",
    ),
    "code in an old file": (lambda mark: saved({"x": Hostile(os.mkdir, mark)}, zipped=False), "can run code"),
    "a whole module": (lambda _: saved(torch.nn.Linear(2, 2)), "torch.nn.modules.linear.Linear, which can run code"),
    "a list": (lambda _: saved([torch.zeros(2)]), "holds a list"),
    "no tensor": (lambda _: saved({"model": {}}), "it has nothing"),
    "another network": (
        lambda _: saved({"state_dict": {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(9)}}),
        "is not a CGNet: wanted stem.0.conv.weight (cgnet) or level1_0.conv.weight (official)",
    ),
    "a missing tensor": (lambda _: without("level3.0.F_sur.conv.weight"), "lacks 'level3.0.F_sur.conv.weight'"),
    "a missing classifier": (lambda _: without("classifier.0.conv.weight"), "a network without its classifier"),
    "a gap in a stage": (lambda _: gapped(), "lacks 'level2.1.conv1x1.conv.weight'"),
    "one tensor too many": (lambda _: replaced("aspp.weight", torch.zeros(1)), "also holds 'aspp.weight'"),
    "a tensor named twice": (lambda _: replaced("module.b1.act.weight", torch.zeros(35)), "twice"),
    "a wrong shape": (lambda _: replaced("level1_0.act.weight", torch.zeros(33)), "has shape (33,), wanted (32,)"),
    "a view far larger than its file": (
        lambda _: replaced("level1_0.act.weight", torch.zeros(1).expand(1 << 40)),
        "has shape (1099511627776,)",
    ),
    "no class": (lambda _: replaced("classifier.0.conv.weight", torch.zeros(0, 256, 1, 1)), "1 to 255 classes"),
    "256 classes": (lambda _: replaced("classifier.0.conv.weight", torch.zeros(256, 256, 1, 1)), "1 to 255 classes"),
    "a number for a tensor": (lambda _: replaced("b1.act.weight", 3), "is not a dense tensor"),
    "a sparse tensor": (lambda _: replaced("b1.act.weight", torch.zeros(35).to_sparse()), "is not a dense tensor"),
    "integers": (lambda _: replaced("b1.act.weight", torch.zeros(35).long()), "has type torch.int64"),
    "two networks": (
        lambda _: saved({"teacher": named(_model(), "official"), "student": named(_model(), "cgnet")}),
        "holds 2 sets of weights; choose with --weights 'teacher' or 'student'",
    ),
    "NaN": (lambda _: poisoned("level2_0.reduce.conv.weight", float("nan")), "holds NaN or infinity"),
    "infinity": (lambda _: poisoned("bn_prelu_3.bn.running_mean", float("-inf")), "holds NaN or infinity"),
    "a negative variance": (lambda _: poisoned("b1.bn.running_var", -0.1), "a negative variance"),
}
