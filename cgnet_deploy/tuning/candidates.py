"""What cgnet-tune tries: a file that the export can make, or the checkpoint, what runs it, and with how many threads.

SEARCH_SPACE is the whole table. What the machine has no runtime for is left out, with the reason; no other rule decides
in advance what is fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import psutil

from cgnet_deploy.doctor.probe import probe
from cgnet_deploy.engines.backends import BACKENDS, BY_NAME
from cgnet_deploy.export.choices import Scope, TargetName
from cgnet_deploy.spec import Precision
from cgnet_deploy.threads import cores

F32, F16, INT8 = Precision.F32, Precision.F16, Precision.INT8
PRECISION_FLAGS = {F32: "--fp32", F16: "--fp16", INT8: "--int8"}
# How far labels may lie from those of f32: one that is no more exact can't be worth being slower.
COARSENESS: Mapping[Scope | None, int] = {None: 0, "most": 2, "all": 3, "stored": 4}
ROUNDED = 1  # bf16 or f16
# The backends that compute so, whatever the file.
ROUNDING = {backend.name for backend in BACKENDS if not {"bf16", "f16", F16}.isdisjoint(backend.options.values())}
CHECKPOINT: Final = "checkpoint"
Form = Literal[TargetName, "checkpoint"]  # of a file: what the export makes it for, or a copy of what was given


@dataclass(frozen=True, slots=True)
class Variant:
    """A file to try. scope: of int8 only. plan: as a TensorRT plan. level: of its builder, None for the default."""

    target: Form
    precision: Precision
    scope: Scope | None = None
    prune: bool = True
    plan: bool = False
    level: int | None = None

    @property
    def name(self) -> str:
        """Of its file."""
        if self.target == CHECKPOINT:
            return "checkpoint.pth"
        level = None if self.level is None else f"level{self.level}"
        parts = (self.target, self.precision.value, self.scope, None if self.prune else "unpruned", level)
        return "-".join(filter(None, parts)) + (".plan" if self.plan else ".onnx")

    @property
    def flags(self) -> tuple[str, ...]:
        """Of cgnet-export."""
        scope = ("--int8-scope", self.scope) if self.scope else ()
        prune = ("--prune-dead",) if self.prune else ()
        level = () if self.level is None else ("--builder-level", str(self.level))
        return (PRECISION_FLAGS[self.precision], *scope, "--target", self.target, *prune, *level)


@dataclass(frozen=True, slots=True)
class Combination:
    """An entry of the search space: a backend and the kind of file that it is given.

    scopes: of int8, levels: of a plan's builder; each is tried.
    """

    backend: str
    target: Form
    precision: Precision
    scopes: tuple[Scope | None, ...] = (None,)
    levels: tuple[int | None, ...] = (None,)

    def variants(self) -> Iterator[Variant]:
        plan = BY_NAME[self.backend].runtime.reads == "plan"
        # Unpruned in f32 too: a kernel may like the channels that the network came with.
        prunes = (True, False) if self.precision is F32 and self.target != CHECKPOINT else (True,)
        for level, scope, prune in product(self.levels, self.scopes, prunes):
            yield Variant(self.target, self.precision, scope, prune, plan, level)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant, what runs it, and with how many threads."""

    variant: Variant
    backend: str
    threads: int

    @property
    def name(self) -> str:
        """As rows and `--only` know it."""
        return f"{self.backend}:{self.variant.name} {self.threads} threads"

    @property
    def coarseness(self) -> int:
        """Its place among those that compute more and more coarsely; 0 for f32."""
        coarse = self.variant.precision is F16 or self.backend in ROUNDING
        return max(COARSENESS[self.variant.scope], ROUNDED * coarse)


# What tends to be fastest comes first: --time and Ctrl-C then cost little.
SEARCH_SPACE: tuple[Combination, ...] = (
    Combination("trt", "tensorrt", INT8, ("most", "all"), (None, 5)),
    Combination("trt", "tensorrt", F16, levels=(None, 5)),
    Combination("trt-plain", "tensorrt", INT8, ("most", "all")),  # the same plans, without a CUDA graph
    Combination("trt-plain", "tensorrt", F16),
    Combination("torch-fast-f16", CHECKPOINT, F32),
    Combination("torch-fast", CHECKPOINT, F32),
    Combination("ort-rtx", "generic", F16),
    Combination("openvino-gpu", "openvino", INT8, ("most", "all", "stored")),
    Combination("openvino-gpu", "openvino", F32),
    Combination("openvino-npu", "openvino", INT8, ("most", "all", "stored")),
    Combination("openvino-npu", "openvino", F32),
    Combination("native", "native", INT8, ("all",)),  # it runs no others
    Combination("native-bf16", "native", F32),
    Combination("native", "native", F32),
    Combination("openvino-bf16", "openvino", INT8, ("most", "all", "stored")),
    Combination("openvino-bf16", "openvino", F32),
    Combination("openvino-f16", "openvino", F32),
    Combination("openvino", "openvino", INT8, ("most", "all", "stored")),
    Combination("openvino", "openvino", F32),
    Combination("ort", "ort-cpu", F32),
    Combination("ort", "ort-cpu", INT8, ("most",)),
    Combination("ort-cuda", "generic", F16),
    Combination("ort-cuda", "generic", F32),
    Combination("opencv", "generic", F32),
)
# What else there is, by backend, and why it is not tried.
NOT_SEARCHED = {
    "ncnn": "runs files of any target through a converter of its own: cgnet-bench --engine ncnn:FILE measures it"
}


@dataclass(frozen=True, slots=True)
class NotSearched:
    """A backend that was left out, or what else was, and why."""

    backend: str
    why: str


def candidates(
    threads: Sequence[int], only: str | None, why_not: Callable[[str], str | None]
) -> tuple[tuple[Candidate, ...], tuple[NotSearched, ...]]:
    """All that can be tried here, and the backends that can't be.

    only: a regular expression that a candidate's name must match. why_not: what keeps a backend from running here.
    """
    pattern = re.compile(only or "")
    reasons = {backend: why_not(backend) for backend in dict.fromkeys(one.backend for one in SEARCH_SPACE)}
    every = (
        Candidate(variant, one.backend, count)
        for one in SEARCH_SPACE
        if reasons[one.backend] is None
        for variant in one.variants()
        for count in (threads if BY_NAME[one.backend].runtime.runs_on == "cpu" else threads[:1])
    )
    found = [candidate for candidate in every if pattern.search(candidate.name)]
    left_out = [NotSearched(backend, why) for backend, why in {**reasons, **NOT_SEARCHED}.items() if why]
    return tuple(sorted(found, key=lambda one: not one.variant.prune)), tuple(left_out)


def thread_counts() -> tuple[int, ...]:
    """All cores that may be used; and, where two share a physical one, half of them."""
    usable, physical = cores(), psutil.cpu_count(logical=False) or cores()
    return (usable, physical) if physical < usable else (usable,)


def why_not(backend: str) -> str | None:
    """What keeps a backend from running here; None if nothing does. It is asked in a process of its own."""
    finding = probe(BY_NAME[backend].probed_as or backend)
    return None if finding.can else finding.found
