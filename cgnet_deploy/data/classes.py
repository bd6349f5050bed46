"""Class names and colours of a data set, and which stored value or colour of a mask is which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgnet_deploy.contracts import IGNORE, ClassTable, own_table
from cgnet_deploy.errors import DataError, UsageError
from cgnet_deploy.spec import Rgb

IGNORED_NAMES = ("ignore", "__ignore__", "ignored", "void", "unlabelled", "unlabeled")


@dataclass(frozen=True, slots=True)
class Classes:
    """values, colours: (stored value, label), (0xRRGGBB, label); a label is a class or the table's ignore label.

    binary_is_likely: whether masks of 0 and 255 alone are more likely binary ones than class 0 and ignored pixels.
    """

    table: ClassTable
    values: tuple[tuple[int, int], ...]
    colours: tuple[tuple[int, int], ...] = ()
    binary_is_likely: bool = False

    def labels(self, kind: str) -> dict[int, int]:
        return dict(self.values if kind == "values" else self.colours)


class NamesMissing(DataError):
    """A data set whose files don't name its classes."""


def plain(table: ClassTable) -> Classes:
    """The stored values are the labels themselves."""
    known = (*range(len(table.names)), table.ignore_label)
    return Classes(table, tuple((value, value) for value in known))


def own_classes(
    where: object,
    names: Sequence[Any],
    palette: Sequence[Rgb] | None = None,
    *,
    values: Mapping[int, int] | None = None,
    colours: Mapping[int, int] | None = None,
    ignored: Sequence[int] = (),
) -> Classes:
    """The classes of a data set of one's own. where: for errors, what names them.

    values: by default value i is class i, and IGNORE and `ignored` are ignored pixels. colours: by default the palette.
    """
    try:
        table = own_table(where, names, palette or ())
    except UsageError as error:
        raise DataError(str(error)) from None
    known = len(table.names)
    if values is None:
        plain_values = {value: value for value in range(known)} | {IGNORE: IGNORE}
        if taken := [value for value in ignored if value < known]:
            raise DataError(
                f"{where}: value {taken[0]} is both ignored and class {table.names[taken[0]]!r}; use values"
            )
        values = plain_values | dict.fromkeys(ignored, IGNORE)
    binary = known <= 2 and IGNORE not in ignored and values.get(IGNORE) == IGNORE
    if colours is None and palette and len(set(palette)) == len(palette):
        colours = {pack(colour): label for label, colour in enumerate(palette)}
    return Classes(table, tuple(values.items()), tuple((colours or {}).items()), binary)


def by_colour(where: object, named: Sequence[tuple[str, Rgb]]) -> Classes:
    """Classes from a list of names and colours, in its order; index i of a palette PNG is line i.

    A name such as "void" is that of ignored pixels.
    """
    colours = [colour for _, colour in named]
    if twice := next((colour for colour in colours if colours.count(colour) > 1), None):
        raise DataError(f"{where}: the colour {spelled(twice)} stands for two classes")
    kept = [(name, colour) for name, colour in named if name.lower() not in IGNORED_NAMES]
    labels = {name: label for label, (name, _) in enumerate(kept)}
    values = {line: labels.get(name, IGNORE) for line, (name, _) in enumerate(named)}
    packed = {pack(colour): labels.get(name, IGNORE) for name, colour in named}
    names, palette = [name for name, _ in kept], [colour for _, colour in kept]
    return own_classes(where, names, palette, values={IGNORE: IGNORE} | values, colours=packed)


def voc_palette(count: int) -> tuple[Rgb, ...]:
    """PASCAL VOC's colours: the bits of the class number, three by three, from the top bit of R, G and B downwards."""
    return tuple((_spread(number), _spread(number >> 1), _spread(number >> 2)) for number in range(count))


def _spread(number: int) -> int:
    return sum((number >> 3 * place & 1) << 7 - place for place in range(3))


def pack(colour: Rgb) -> int:
    """0xRRGGBB."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def unpack(colour: int) -> Rgb:
    return colour >> 16, colour >> 8 & 255, colour & 255


def spelled(colour: Rgb) -> str:
    return ",".join(map(str, colour))
