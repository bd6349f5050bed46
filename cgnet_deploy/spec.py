"""What a network expects and what its labels mean: frozen values that travel with every file.

`InputSpec` is the only place in the project that knows BGR from RGB. Frames are always BGR, as OpenCV
and cameras give them; `color` is the order that the *network* was trained on. `mean` and `std` are listed
in that order: channel i of the network's input is (channel i of the frame in `color` order - mean[i]) / std[i],
on the 0-255 scale.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple

from cgnet_deploy.errors import UsageError

Color = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]
Rgb = tuple[int, int, int]

MIN_SIDE_PX = 32
MAX_SIDE_PX = 8192
MAX_PIXELS = 1 << 25  # 4096x8192
MAX_CLASSES = 255  # labels are u8, and one value is left for "ignore"
MAX_BLOCKS = 128
MAX_NAME_CHARS = 64


class Res(NamedTuple):
    """A size in pixels, always height first."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    def spelled(self) -> str:
        """`H=1024 W=2048`: how a size is echoed, so that a transposed one is seen."""
        return f"H={self.height} W={self.width}"

    @classmethod
    def parse(cls, text: str) -> Res:
        """`1024x2048` -> Res(1024, 2048). Raises UsageError with what was wanted."""
        match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text.strip())
        if not match:
            raise UsageError(f"resolution {text!r} is not HEIGHTxWIDTH in pixels, such as 1024x2048")
        return cls(int(match[1]), int(match[2])).checked()

    @classmethod
    def of(cls, size: Res | str) -> Res:
        """A size as calls take it: a `Res`, or "1024x2048". Raises UsageError as `parse`."""
        return cls.parse(size) if isinstance(size, str) else size.checked()

    def checked(self) -> Res:
        """Itself, or UsageError if it is out of bounds."""
        if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in self) or math.prod(self) > MAX_PIXELS:
            raise UsageError(
                f"resolution {self} ({self.spelled()}) is out of range: each side must be "
                f"{MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, and their product at most {MAX_PIXELS}"
            )
        return self


class Precision(str, Enum):
    """The type in which a file's convolutions run."""

    F32 = "f32"
    F16 = "f16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a BGR u8 frame becomes the network's input.

    mean, std: on the 0-255 scale, in `color` order. res: the size that the recipe tests at, the default
    of every command's `--res`.
    """

    mean: Triple
    std: Triple
    color: Color
    res: Res

    def __post_init__(self) -> None:
        if self.color not in ("rgb", "bgr"):
            raise UsageError(f"colour order {self.color!r} is neither 'rgb' nor 'bgr'")
        if len(self.mean) != 3 or not all(math.isfinite(v) for v in self.mean):
            raise UsageError(f"mean {self.mean} is not three finite numbers")
        if len(self.std) != 3 or not all(math.isfinite(v) and v > 0 for v in self.std):
            raise UsageError(f"std {self.std} is not three positive numbers")
        self.res.checked()

    @property
    def channels(self) -> tuple[int, int, int]:
        """Which channel of a BGR frame each input channel of the network reads."""
        return (2, 1, 0) if self.color == "rgb" else (0, 1, 2)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One CGNet: its input contract, what its labels mean, and its depth.

    palette: (K, 3) u8 RGB. ignore_label: the truth label that no measure counts.
    blocks: (M, N), the blocks of stage 2 and stage 3, the down-sampling ones included.
    """

    input: InputSpec
    class_names: tuple[str, ...]
    palette: tuple[Rgb, ...]
    ignore_label: int
    blocks: tuple[int, int]

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        if not 1 <= classes <= MAX_CLASSES:
            raise UsageError(f"{classes} classes: a CGNet here has 1 to {MAX_CLASSES} (labels are u8)")
        for name in self.class_names:
            if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
                raise UsageError(f"class name {name[:80]!r} is not 1 to {MAX_NAME_CHARS} printable characters")
        if len(self.palette) != classes:
            raise UsageError(f"a palette of {len(self.palette)} colours for {classes} classes")
        if not all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in self.palette):
            raise UsageError("a palette colour is not three values of 0 to 255")
        if not 0 <= self.ignore_label <= 255:
            raise UsageError(f"ignore label {self.ignore_label} is not 0 to 255")
        if len(self.blocks) != 2 or not all(2 <= b <= MAX_BLOCKS for b in self.blocks):
            raise UsageError(f"blocks (M, N) = {self.blocks}: each must be 2 to {MAX_BLOCKS}")

    @property
    def classes(self) -> int:
        """K, how many classes there are."""
        return len(self.class_names)

    @property
    def name(self) -> str:
        """`M3N21`, as the paper names its networks."""
        return f"M{self.blocks[0]}N{self.blocks[1]}"

    def to_json(self) -> dict[str, Any]:
        """What sidecars and metadata hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> ModelSpec:
        """The inverse of `to_json`. Raises UsageError for anything else: the file may be hostile."""
        from cgnet_deploy.codec import from_json  # it needs numpy, and every command imports this module

        try:
            return from_json(cls, data)
        except ValueError as error:
            raise UsageError(f"not the description of a CGNet: {error}") from error
