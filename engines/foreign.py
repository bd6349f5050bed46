"""A graph from another exporter: what it takes and gives, from its ports; what its labels mean, from whoever says it.

    takes   (N, H, W, 3) u8 frames, BGR unless --color says rgb, or (N, 3, H, W) f32, normalised
    gives   labels (N, H, W) or (N, 1, H, W) of any integer type, or scores (N, K, h, w), whose largest is the label;
            scores that are smaller than the input are enlarged first, bilinearly, as CGNet's head does

Names, mean, std, colour order and size come, in this order, from the user, from the file's metadata (Ultralytics writes
some), and from the published data set that has as many classes. Whatever the user didn't say is listed in `assumed`.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cgnet_deploy.artifact import Shape
from cgnet_deploy.contracts import (
    CAMVID_CLASSES,
    CITYSCAPES_CLASSES,
    CONTRACTS,
    ONES,
    ClassTable,
    class_table,
    evenly_spaced,
    named_contract,
)
from cgnet_deploy.engines.base import Ends, Gives, Takes
from cgnet_deploy.engines.request import Hints, Request
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.spec import InputSpec, ModelSpec, Res

log = logging.getLogger(__name__)

BLOCKS = (3, 21)  # the depth can't be seen from outside, and no engine needs it
FRAMES, TENSOR, SCORES = "uint8", "float32", ("float32", "float16")
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
BY_CLASSES = {11: "camvid-official", 19: "cityscapes-official"}
TABLES = {"camvid": CAMVID_CLASSES, "cityscapes": CITYSCAPES_CLASSES}  # by the first word of a contract
MAX_LITERAL_CHARS = 1 << 15
ULTRALYTICS = InputSpec((0.0, 0.0, 0.0), (255.0, 255.0, 255.0), "rgb", Res(640, 640))


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph. type: NumPy's name. sides: None where open."""

    type: str
    sides: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"({', '.join('any' if side is None else str(side) for side in self.sides)}) {self.type}"


@dataclass(frozen=True, slots=True)
class Described:
    """What an engine needs to know of a graph. shape: (N, H, W). assumed: what nobody said, in words."""

    spec: ModelSpec
    ends: Ends
    shape: Shape
    assumed: tuple[str, ...]


def describe(request: Request, source: Port, result: Port, metadata: Mapping[str, str] | None = None) -> Described:
    """Raises ArtifactError for a graph that can't be measured, UsageError if nobody says what it needs to know."""
    path, hints, assumed = request.path, request.hints, list[str]()
    texts = metadata or {}
    if hints.contract is not None:
        named_contract(hints.contract)  # refuses an unknown one
    takes, shape = _takes(path, source, hints, assumed)
    gives, classes = _gives(path, result, shape, assumed)
    named, theirs = _ultralytics(path, texts) if texts.get("author") == "Ultralytics" else (None, None)
    table = _table(path, hints, named, classes, assumed)
    size = _size(path, request, shape, theirs, len(table.names), assumed)
    if takes == "tensor":
        spec = _input(path, hints, theirs, len(table.names), assumed, size)
    else:
        spec = InputSpec((0.0, 0.0, 0.0), ONES, hints.color or "bgr", size)
    if assumed:
        log.info(f"{path}, assumed: {'; '.join(assumed)}")
    model = ModelSpec(spec, table.names, table.palette, table.ignore_label, BLOCKS)
    return Described(model, Ends(takes, gives), shape, tuple(assumed))


def _takes(path: Path, source: Port, hints: Hints, assumed: list[str]) -> tuple[Takes, Shape]:
    sides = source.sides
    if source.type == TENSOR and len(sides) == 4 and sides[1] in (3, None):
        return "tensor", (sides[0], sides[2], sides[3])
    if source.type == FRAMES and len(sides) == 4 and sides[3] in (3, None):
        if hints.color is None:
            assumed.append("frames are BGR")
        return "rgb frames" if hints.color == "rgb" else "frames", (sides[0], sides[1], sides[2])
    raise ArtifactError(f"{path} takes {source}; wanted (N, 3, H, W) float32 or (N, H, W, 3) uint8: export it that way")


def _gives(path: Path, result: Port, shape: Shape, assumed: list[str]) -> tuple[Gives, int | None]:
    """K is None where the file doesn't say it."""
    sides, (_, height, width) = result.sides, shape
    given = sides[-2:]
    known = [(side, full) for side, full in zip(given, (height, width), strict=False) if side and full]
    if result.type in INTEGERS and (len(sides) == 3 or (len(sides) == 4 and sides[1] in (1, None))):
        if any(side != full for side, full in known):
            raise ArtifactError(f"{path} gives labels {result} for an input of H={height} W={width}: wanted that size")
        return "labels", None
    if result.type in SCORES and len(sides) == 4 and sides[1] != 1:
        if any(side > full for side, full in known):
            raise ArtifactError(f"{path} gives scores {result}, larger than its input of H={height} W={width}")
        if len(known) < 2 or any(side < full for side, full in known):
            assumed.append("scores smaller than the input are enlarged bilinearly")
        return "logits", sides[1]
    raise ArtifactError(
        f"{path} gives {result}; wanted labels, (N, H, W) or (N, 1, H, W) of integers, or scores, (N, K, h, w) float32 "
        "of at least 2 classes"
    )


def _table(path: Path, hints: Hints, named: ClassTable | None, classes: int | None, assumed: list[str]) -> ClassTable:
    for table, source in ((hints.table, "--names"), (named, "its metadata")):
        if table is not None:
            if classes not in (None, len(table.names)):
                raise UsageError(f"{source} has {len(table.names)} classes, {path} gives scores of {classes}")
            return table
    by_contract = TABLES.get((hints.contract or "").partition("-")[0])
    if by_contract is not None and classes in (None, len(by_contract.names)):
        return by_contract
    if classes is None:
        raise UsageError(f"{path} doesn't say how many classes it has: give --names FILE, or --contract")
    assumed.append(f"class names, from their number, {classes}")
    return class_table(classes)


def _size(
    path: Path, request: Request, shape: Shape, theirs: InputSpec | None, classes: int, assumed: list[str]
) -> Res:
    """The size to run at if nobody asks for another."""
    _, h, w = (own or want for own, want in zip(shape, request.shape, strict=True))
    if h and w:
        return Res(h, w).checked()
    if theirs is not None:
        return theirs.res
    if request.hints.contract is not None:
        return CONTRACTS[request.hints.contract].res
    if classes not in BY_CLASSES:
        raise UsageError(f"{path} takes any size and nothing says which: give --res HxW")
    size = CONTRACTS[BY_CLASSES[classes]].res
    assumed.append(f"size {size}, from its {classes} classes")
    return size


def _input(
    path: Path, hints: Hints, theirs: InputSpec | None, classes: int, assumed: list[str], size: Res
) -> InputSpec:
    """How a frame becomes the tensor."""
    if hints.mean and hints.std and hints.color:
        return InputSpec(hints.mean, hints.std, hints.color, size)
    if hints.contract is not None:
        base = CONTRACTS[hints.contract]
    elif theirs is not None:
        base = theirs
        assumed.append("pictures are RGB, 0 to 1, as Ultralytics' are")
    elif classes in BY_CLASSES:
        base = CONTRACTS[BY_CLASSES[classes]]
        assumed.append(f"input contract {BY_CLASSES[classes]}, from its {classes} classes")
    else:
        missing = [f"--{name}" for name in ("mean", "std", "color") if getattr(hints, name) is None]
        raise UsageError(
            f"{path}: no input contract is known for {classes} classes; choose one with --contract "
            f"({', '.join(CONTRACTS)}), or give {' and '.join(missing)}"
        )
    return InputSpec(hints.mean or base.mean, hints.std or base.std, hints.color or base.color, size)


def _ultralytics(path: Path, metadata: Mapping[str, str]) -> tuple[ClassTable | None, InputSpec]:
    """Class names and input of a file that Ultralytics exported; its texts are Python literals, which are only read."""
    names, imgsz = (_literal(path, name, metadata.get(name)) for name in ("names", "imgsz"))
    if isinstance(names, dict) and all(type(key) is int for key in names):
        if sorted(names) != [*range(len(names))]:
            raise ArtifactError(f"{path}: its metadata names classes that are not numbered from 0")
        names = [names[number] for number in range(len(names))]
    table = None
    if names is not None:
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ArtifactError(f"{path}: names in its metadata is no list of class names")
        table = ClassTable(tuple(names), evenly_spaced(len(names)), 255)
    res = ULTRALYTICS.res
    if isinstance(imgsz, list) and len(imgsz) == 2 and all(type(side) is int for side in imgsz):
        res = Res(*imgsz).checked()
    return table, replace(ULTRALYTICS, res=res)


def _literal(path: Path, name: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        if len(text) > MAX_LITERAL_CHARS:
            raise ValueError
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ArtifactError(f"{path}: {name} in its metadata is no Python literal, as Ultralytics writes") from None
