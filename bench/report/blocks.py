"""Layers by the block of CGNet that they belong to, whichever runtime reported them.

The exporter calls every node after the module that it came from, as PyTorch does, and runtimes keep the name of
one of the layers that they join. A layer whose name tells nothing is counted under "other".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cgnet_deploy.engines.base import Layer

OTHER = "other"

# The first that matches a layer's "name kind" tells its block, which is the match itself unless it is said.
RULES: tuple[tuple[str, str | None], ...] = (
    (r"stage[23]\.\d+", None),
    (r"\b(stem|join[123]|classifier)\b", None),
    (r"\bframes/", "pixels"),
    (r"(?i)arg_?max|top_?k", "argmax"),
    (r"(?i)resize|interpolate|upsample|\blogits\b", "resize"),
    (r"(?i)average_?pool|avg_?pool", "pools"),
)


def block_of(layer: Layer) -> str:
    """stem, join1, stage2.0, ..., classifier; pixels, pools, resize and argmax for what has no weights; or other."""
    text = f"{layer.name} {layer.kind}"
    for pattern, block in RULES:
        if match := re.search(pattern, text):
            return block or match[0]
    return OTHER


def by_block(layers: Sequence[Layer]) -> dict[str, float]:
    """Mean nanoseconds per inference of each block, in the order in which an image passes them; other comes last."""
    totals: dict[str, float] = {}
    for layer in layers:
        block = block_of(layer)
        totals[block] = totals.get(block, 0.0) + layer.mean_ns
    return dict(sorted(totals.items(), key=lambda item: place_of(item[0])))


PLACES = (
    "pixels",
    "stem",
    "pools",
    "join1",
    "stage2",
    "join2",
    "stage3",
    "join3",
    "classifier",
    "resize",
    "argmax",
    OTHER,
)


def place_of(block: str) -> tuple[int, int]:
    """Sorts blocks as an image passes them."""
    stage, _, number = block.partition(".")
    return PLACES.index(stage), int(number or 0)
