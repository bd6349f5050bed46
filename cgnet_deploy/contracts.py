"""The input contracts and class tables that published checkpoints were trained with.

Both published code bases feed RGB frames but subtract a mean that was stored in B, G, R order; on CamVid
that swap is worth 13 mIoU points, so it is part of the contract (spec of the official data loader; mmseg's
`mean=[72.39239876, 82.90891754, 73.15835921], bgr_to_rgb=True` keeps it).
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import MAX_CLASSES, MAX_NAME_CHARS, Color, InputSpec, ModelSpec, Res, Rgb, Triple

ONES: Triple = (1.0, 1.0, 1.0)
IGNORE = 255  # the label of ignored pixels where nobody names another


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The meaning of a data set's labels."""

    names: tuple[str, ...]
    palette: tuple[Rgb, ...]  # (K, 3) u8 RGB
    ignore_label: int


def _table(colours: dict[str, Rgb], ignore_label: int) -> ClassTable:
    return ClassTable(tuple(colours), tuple(colours.values()), ignore_label)


CAMVID_CLASSES = _table(
    {
        "Sky": (128, 128, 128),
        "Building": (128, 0, 0),
        "Pole": (192, 192, 128),
        "Road": (128, 64, 128),
        "Pavement": (60, 40, 222),
        "Tree": (128, 128, 0),
        "SignSymbol": (192, 128, 128),
        "Fence": (64, 64, 128),
        "Car": (64, 0, 128),
        "Pedestrian": (64, 64, 0),
        "Bicyclist": (0, 128, 192),
    },
    ignore_label=11,
)

CITYSCAPES_CLASSES = _table(
    {
        "road": (128, 64, 128),
        "sidewalk": (244, 35, 232),
        "building": (70, 70, 70),
        "wall": (102, 102, 156),
        "fence": (190, 153, 153),
        "pole": (153, 153, 153),
        "traffic light": (250, 170, 30),
        "traffic sign": (220, 220, 0),
        "vegetation": (107, 142, 35),
        "terrain": (152, 251, 152),
        "sky": (70, 130, 180),
        "person": (220, 20, 60),
        "rider": (255, 0, 0),
        "car": (0, 0, 142),
        "truck": (0, 0, 70),
        "bus": (0, 60, 100),
        "train": (0, 80, 100),
        "motorcycle": (0, 0, 230),
        "bicycle": (119, 11, 32),
    },
    ignore_label=255,
)

CONTRACTS: dict[str, InputSpec] = {
    "camvid-official": InputSpec((105.65775, 103.329834, 99.625404), ONES, "rgb", Res(360, 480)),
    "cityscapes-official": InputSpec((72.3924, 82.90902, 73.158325), ONES, "rgb", Res(1024, 2048)),
    "cityscapes-mmseg": InputSpec((72.39239876, 82.90891754, 73.15835921), ONES, "rgb", Res(1024, 2048)),
}


def class_table(classes: int) -> ClassTable:
    """The table for a known class count; otherwise numbered classes on evenly spaced hues."""
    for table in (CAMVID_CLASSES, CITYSCAPES_CLASSES):
        if len(table.names) == classes:
            return table
    return ClassTable(tuple(f"class {i}" for i in range(classes)), evenly_spaced(classes), IGNORE)


def own_table(where: object, names: Sequence[object], palette: Sequence[Rgb | None] = ()) -> ClassTable:
    """Classes that somebody names. where: what names them, for errors. palette: () or None where nobody says.

    Raises UsageError for what a class can't be called, names used twice, and none or too many of them.
    """
    if not 1 <= len(names) <= MAX_CLASSES:
        raise UsageError(
            f"{where} names {len(names)} classes; there may be 1 to {MAX_CLASSES}: one of 256 labels is ignored"
        )
    checked: list[str] = []
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"{where}: class name {name!r} is not text; put it in quotes")
        if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
            raise UsageError(f"{where}: class name {name[:80]!r} is not 1 to {MAX_NAME_CHARS} printable characters")
        if name in checked:
            raise UsageError(f"{where}: the class name {name!r} occurs twice")
        checked.append(name)
    if palette and len(palette) != len(checked):
        raise UsageError(f"{where}: a palette of {len(palette)} colours for {len(checked)} classes")
    hues = evenly_spaced(len(checked))
    colours = tuple(colour or hue for colour, hue in zip(palette or hues, hues, strict=True))
    return ClassTable(tuple(checked), colours, IGNORE)


def evenly_spaced(classes: int) -> tuple[Rgb, ...]:
    """A palette for classes without colours of their own: (K, 3) u8 RGB, hues all around the circle."""
    hues = (colorsys.hsv_to_rgb(i / classes, 0.65, 0.9) for i in range(classes))
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues)


def contract_name(format_name: str, classes: int) -> str:
    """The built-in contract for a published format and class count; UsageError if there is none."""
    known = {
        ("official", 11): "camvid-official",
        ("official", 19): "cityscapes-official",
        ("mmseg", 19): "cityscapes-mmseg",
        ("mmseg", 11): "camvid-official",
    }
    if (format_name, classes) not in known:
        raise UsageError(
            f"no input contract is known for {classes} classes in the {format_name} format; "
            f"choose one with --contract ({', '.join(CONTRACTS)})"
        )
    return known[format_name, classes]


def known_as(spec: InputSpec) -> str:
    """The name of a built-in contract, or "custom"."""
    return next((name for name, contract in CONTRACTS.items() if contract == spec), "custom")


def named_contract(name: str) -> InputSpec:
    """The built-in contract called `name`. Raises UsageError."""
    if name not in CONTRACTS:
        raise UsageError(f"unknown contract {name!r}; wanted one of {', '.join(CONTRACTS)}")
    return CONTRACTS[name]


def model_spec(
    contract: str,
    classes: int,
    blocks: tuple[int, int],
    *,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
) -> ModelSpec:
    """The ModelSpec for a named contract, with the user's overrides."""
    base, table = named_contract(contract), class_table(classes)
    spec = InputSpec(mean or base.mean, std or base.std, color or base.color, base.res)
    return ModelSpec(spec, table.names, table.palette, table.ignore_label, blocks)
