"""A concat with a part of few channels, such as the pooled image of a join, sinks into the next convolution.

    f(concat(x_1, x_2, image)), then W = W_1 f(x_1) + W_2 f(x_2) + W_3 f(image)

The two steps are those of concat_sink.py and concat_conv.py, at these places only: 35 or 131 channels fill no
vector, and a runtime that works on channels last pays for that in the copy and in the convolution, while any other
concat costs it less than a second convolution. Not in int8: docs/int8.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

from cgnet_deploy.export.fuse import concat_conv, concat_sink
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import part_sizes

FEW = 8  # channels: half a vector of f32 with AVX-512, one with AVX2


def _why_one(name: str | None, sizes: Sequence[int]) -> str | None:
    return None if sizes and min(sizes) < FEW else f"no part of {name} has fewer than {FEW} channels"


def check_sink(match: concat_sink.Match) -> str | None:
    return _why_one(match.concat.name, match.sizes) or concat_sink.check(match)


def check_conv(match: concat_conv.Match) -> str | None:
    sizes = [size or FEW for size in part_sizes(match.concat)]
    return _why_one(match.concat.name, sizes) or concat_conv.check(match)


SINK = Rule("ragged-sink", concat_sink.pattern, check_sink, concat_sink.rewrite, int8=False)
CONV = Rule("ragged-conv", concat_conv.pattern, check_conv, concat_conv.rewrite, int8=False)
