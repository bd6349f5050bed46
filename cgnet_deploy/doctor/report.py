"""A diagnosis as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cgnet_deploy.doctor.contract import Diagnosis
from cgnet_deploy.spec import InputSpec
from cgnet_deploy.tables import text_table

HEADINGS = ("mIoU %", "below the best", "frames", "colours", "mean", "std", "from")


def table(diagnosis: Diagnosis) -> str:
    """The contracts, the best first."""
    rows = []
    for place, score in enumerate(diagnosis.search.scores):
        worse = "-" if score.worse is None else f"{100 * score.worse[0]:.2f} to {100 * score.worse[1]:.2f}"
        if place < diagnosis.search.equals:
            worse = "best" if place == 0 else f"{worse}  no clear difference"
        spec = score.candidate.spec
        colours, mean, std = spec.color.upper(), numbers(spec.mean), numbers(spec.std)
        rows.append(
            (f"{100 * score.miou:.2f}", worse, str(len(score.frames)), colours, mean, std, score.candidate.origin)
        )
    return text_table(HEADINGS, rows)


def verdict(diagnosis: Diagnosis) -> str:
    """What to do, in a few lines."""
    lines = [f"trained with: {spelled(diagnosis.named.spec)}"]
    equals = [score.candidate for score in diagnosis.search.scores[: diagnosis.search.equals]]
    if others := [spelled(candidate.spec) for candidate in equals if candidate is not diagnosis.named]:
        lines.append(
            f"on {diagnosis.frames} frames, {len(others)} other{'s do' if len(others) > 1 else ' does'} as well: "
            + "; ".join(others)
        )
    if diagnosis.own_is_right:
        lines.append("cgnet-export uses it for this file by default: no flag is needed")
    else:
        lines.append(f"cgnet-export --ckpt {diagnosis.path} {diagnosis.flags}")
    return "\n".join(lines)


def spelled(spec: InputSpec) -> str:
    std = "" if set(spec.std) == {1.0} else f", divided by {numbers(spec.std)}"
    return f"{spec.color.upper()} minus {numbers(spec.mean)}{std}"


def numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "schema": 1,
        "ckpt": str(diagnosis.path),
        "frames": diagnosis.frames,
        "named": asdict(diagnosis.named.spec),
        "flags": diagnosis.flags,
        "own_is_right": diagnosis.own_is_right,
        "candidates": [
            {
                "origin": score.candidate.origin,
                "contract": asdict(score.candidate.spec),
                "miou": score.miou,
                "frames": len(score.frames),
                "below_best": score.worse,
                "told_apart": place >= diagnosis.search.equals,
            }
            for place, score in enumerate(diagnosis.search.scores)
        ],
    }
