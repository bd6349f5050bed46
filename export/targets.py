"""The runtimes that a graph can be made for, each one entry of TARGETS.

Its name stands in choices.py too, where the command's help reads it without importing any of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import Scope
from cgnet_deploy.export.fuse.rules import FOLD, GENERIC, NATIVE, OPENVINO, ORT_CPU, Rules
from cgnet_deploy.export.quantize import Storage
from cgnet_deploy.export.sites import Role
from cgnet_deploy.spec import Precision


@dataclass(frozen=True, slots=True)
class Target:
    """A runtime that a graph is made for.

    forms: the rules that choose its operators, after FOLD and pruning. scored_by: the backend that scores its files.
    block: pruned channel counts are filled up to a multiple of it, in which the runtime computes anyway.
    moves_channels: pruning may put channels in their place by 1x1 convolutions, where that spares multiplications.
    labels_by_float: of io_nodes.give_labels.
    on_cpu: it is for a CPU, so that this machine may be the one that runs its files.
    Of int8: storage of activations; raw_results, whether a convolution's raw result gets a pair too (quantize.py);
    fallback_precision, the type of what is not int8; scope, which convolutions are, unless the user says it; keeps,
    which of them never are: OpenVINO gives wrong labels with the image's in int8 on a CPU without VNNI.
    """

    name: str
    forms: Rules
    block: int = 1
    moves_channels: bool = True
    labels_by_float: bool = False
    storage: Storage = "s8"
    raw_results: bool = False
    fallback_precision: Literal[Precision.F32, Precision.F16] = Precision.F32
    scope: Scope = "most"
    keeps: frozenset[Role] = frozenset()
    scored_by: str = "ort"
    on_cpu: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def int8_forms(self) -> Rules:
        """Those of `forms` that int8 graphs get."""
        return tuple(rule for rule in self.forms if rule.int8)


TARGETS = (
    Target("generic", GENERIC),
    Target("ort-cpu", ORT_CPU, block=8, storage="u8", raw_results=True, on_cpu=True),
    Target("openvino", OPENVINO, block=8, keeps=frozenset({"image"}), scored_by="openvino", on_cpu=True),
    Target("tensorrt", GENERIC, block=8, labels_by_float=True, fallback_precision=Precision.F16),
    Target("native", NATIVE, moves_channels=False, storage="u8", scope="all", scored_by="native", on_cpu=True),
)

RULE_NAMES = tuple(sorted({rule.name for rules in (FOLD, *(target.forms for target in TARGETS)) for rule in rules}))


def target_named(name: str) -> Target:
    """Raises UsageError, naming those that there are."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise UsageError(f"--target {name}: must be one of {', '.join(target.name for target in TARGETS)}")
