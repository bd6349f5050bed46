"""Does a file compute what its parent computes? Both run on the same frames, and the child is refused if not.

Limits, for logits l of the parent and l' of the child on any frame:

    f32     max |l - l'| <= 1e-5 max |l|, argmax equal on 99.99 % of pixels (rounding alone, ties aside)
    f16     max |l - l'| <= 2e-2 max |l|, argmax equal on 98 % of pixels: random weights, whose classes
            are everywhere close, lose 1 % to 11 bits and 70 layers; trained ones less than 0.1 %
    int8    max |l - l'| <= 0.5 max |l|, argmax equal on 70 % of pixels: this catches a graph that is wrong, not
            one that has lost accuracy. Random weights lose up to 17 % of pixels, the official ones 0.3 %: what a
            network may lose is for its owner to say (guard.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cgnet_deploy.engines.verifyplan import EQUAL_LABELS
from cgnet_deploy.errors import AccuracyError
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Precision


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a child may be from its parent. relative: of the parent's largest |logit|."""

    relative: float
    agreement: float


RELATIVE = {Precision.F32: 1e-5, Precision.F16: 2e-2, Precision.INT8: 0.5}
LIMITS = {precision: Limits(relative, EQUAL_LABELS[precision]) for precision, relative in RELATIVE.items()}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared. argmax_agreement: share of equal pixels, 0-1. max_abs_diff: of the logits."""

    images: int
    argmax_agreement: float
    max_abs_diff: float
    max_abs_logit: float


def compare(parent: Sequence[F32], child: Sequence[F32]) -> Verification:
    """Logits (N, K, H, W) of two networks on the same frames."""
    equal = [(a.argmax(1) == b.argmax(1)).mean() for a, b in zip(parent, child, strict=True)]
    apart = [np.abs(a - b).max() for a, b in zip(parent, child, strict=True)]
    return Verification(
        images=sum(len(a) for a in parent),
        argmax_agreement=float(np.mean(equal)),
        max_abs_diff=float(np.max(apart)),
        max_abs_logit=float(max(np.abs(a).max() for a in parent)),
    )


def demand(result: Verification, precision: Precision, step: str) -> None:
    """Raise AccuracyError if the child of `step` disagrees with its parent."""
    limits = LIMITS[precision]
    near = result.max_abs_diff <= limits.relative * result.max_abs_logit  # NaN is not near
    if not near or not result.argmax_agreement >= limits.agreement:
        raise AccuracyError(
            f"{step}: the {precision.value} graph disagrees with its parent on {result.images} images: "
            f"max |d| {result.max_abs_diff:.3g} at |logit| {result.max_abs_logit:.3g} "
            f"(limit {limits.relative:g} of it), argmax equal on {result.argmax_agreement:.4%} "
            f"(limit {limits.agreement:.2%}); nothing was written"
        )


def demand_labels(logits: Sequence[F32], labels: Sequence[U8], precision: Precision) -> float:
    """The share of pixels on which `labels` are the argmax of `logits`; AccuracyError below the limit."""
    equal = float(np.mean([(a.argmax(1) == b).mean() for a, b in zip(logits, labels, strict=True)]))
    if not equal >= LIMITS[precision].agreement:
        raise AccuracyError(
            f"frames to labels: labels equal the argmax of the same network's logits on {equal:.4%} of pixels "
            f"(limit {LIMITS[precision].agreement:.2%}); nothing was written"
        )
    return equal
