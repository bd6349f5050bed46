"""How three code bases name the same tensors: ours, the official one's and mmsegmentation's.

A tensor's key is the path of its module and the leaf that torch adds (`weight`, `running_mean`, ...). Leaves
are the same everywhere, so only module paths are translated. Traps: the official `level1` is the stem,
mmsegmentation's is stage 2; the official code numbers a stage's normal blocks from 0, apart from the down
block; and its names for the joint BatchNorm and PReLU differ between normal blocks and down blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Format = Literal["cgnet", "official", "mmseg"]
FORMATS: tuple[Format, ...] = ("cgnet", "official", "mmseg")


class Names(NamedTuple):
    """One module, or one part of a path, in each code base."""

    cgnet: str
    official: str
    mmseg: str

    def of(self, fmt: Format) -> str:
        return self[FORMATS.index(fmt)]


CONV_BN_PRELU = (Names("conv", "conv", "conv"), Names("bn", "bn", "bn"), Names("act", "act", "activate"))
JOIN = (Names("bn", "bn", "0"), Names("act", "act", "1"))
ANY_BLOCK = (
    Names("entry.conv", "conv1x1.conv", "conv1x1.conv"),
    Names("entry.bn", "conv1x1.bn", "conv1x1.bn"),
    Names("entry.act", "conv1x1.act", "conv1x1.activate"),
    Names("local", "F_loc.conv", "f_loc"),
    Names("surround", "F_sur.conv", "f_sur"),
    Names("gate.squeeze", "F_glo.fc.0", "f_glo.fc.0"),
    Names("gate.excite", "F_glo.fc.2", "f_glo.fc.2"),
)
DOWN_BLOCK = (
    *ANY_BLOCK,
    Names("bn", "bn", "bn"),
    Names("act", "act", "activate"),
    Names("reduce", "reduce.conv", "bottleneck"),
)
BLOCK = (*ANY_BLOCK, Names("bn", "bn_prelu.bn", "bn"), Names("act", "bn_prelu.act", "activate"))
CLASSIFIER = Names("classifier", "classifier.0.conv", "decode_head.conv_seg")


def stem(i: int) -> Names:
    return Names(f"stem.{i}", f"level1_{i}", f"backbone.stem.{i}")


def join(i: int) -> Names:
    """i: 1 to 3."""
    return Names(f"join{i}", "b1" if i == 1 else f"bn_prelu_{i}", f"backbone.norm_prelu_{i - 1}")


def block(stage: int, i: int) -> Names:
    """stage: 2 or 3. i: 0 is the down block."""
    official = f"level{stage}_0" if i == 0 else f"level{stage}.{i - 1}"
    return Names(f"stage{stage}.{i}", official, f"backbone.level{stage - 1}.{i}")


def modules(blocks: tuple[int, int]) -> Iterator[Names]:
    """Every module of a CGNet of (M, N) blocks that has tensors."""
    for i in range(3):
        yield from _within(stem(i), CONV_BN_PRELU)
    for i in (1, 2, 3):
        yield from _within(join(i), JOIN)
    for stage, count in zip((2, 3), blocks, strict=True):
        yield from _within(block(stage, 0), DOWN_BLOCK)
        for i in range(1, count):
            yield from _within(block(stage, i), BLOCK)
    yield CLASSIFIER


def _within(part: Names, children: tuple[Names, ...]) -> Iterator[Names]:
    for child in children:
        yield Names(*(f"{outer}.{inner}" for outer, inner in zip(part, child, strict=True)))


def renamed(keys: list[str], blocks: tuple[int, int], fmt: Format) -> dict[str, str]:
    """Our keys of a CGNet of (M, N) blocks -> their keys in `fmt`, in the same order."""
    theirs = {names.cgnet: names.of(fmt) for names in modules(blocks)}
    paths = (key.rpartition(".") for key in keys)
    return {f"{module}.{leaf}": f"{theirs[module]}.{leaf}" for module, _, leaf in paths}
