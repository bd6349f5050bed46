"""Drawn street scenes with exact labels: a data set with no download, at any resolution and seed.

The classes are CamVid's eleven. Scene i of a split depends on (seed, split, i) alone; another resolution
shows the same street.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np

from cgnet_deploy.contracts import CAMVID_CLASSES, ClassTable
from cgnet_deploy.data import street
from cgnet_deploy.data.canvas import NEAR_M, Bgr, Camera, Canvas
from cgnet_deploy.errors import DataError, UsageError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res

SIZES = {"train": 400, "val": 60, "test": 60}
FAR_M = 90.0

# Strength of the surface texture by class, in the table's order: (fine grain, coarse patches), share of brightness.
GRAIN = (
    (0.0, 0.0),
    (0.06, 0.06),
    (0.03, 0.0),
    (0.05, 0.07),
    (0.06, 0.06),
    (0.16, 0.12),
    (0.02, 0.0),
    (0.06, 0.05),
    (0.02, 0.03),
    (0.05, 0.05),
    (0.05, 0.05),
)


@dataclass(frozen=True, slots=True)
class Scenes:
    """split: "train" (400 scenes), "val" (60), "test" (60) or "trainval"."""

    default_res: ClassVar[Res] = Res(360, 480)

    split: str
    seed: int
    res: Res

    def __post_init__(self) -> None:
        if self.split != "trainval" and self.split not in SIZES:
            raise DataError(f"scenes have no split {self.split!r}; there are {', '.join(SIZES)} and trainval")

    @property
    def name(self) -> str:
        return f"scenes:{self.seed}"

    @property
    def table(self) -> ClassTable:
        return CAMVID_CLASSES

    def __len__(self) -> int:
        return SIZES["train"] + SIZES["val"] if self.split == "trainval" else SIZES[self.split]

    def identifier(self, i: int) -> str:
        split, number = self._place(i)
        return f"{split}_{number:04d}"

    def frame(self, i: int) -> U8:
        return np.array(draw(self.seed, *self._place(i), self.res)[0])

    def labels(self, i: int) -> U8:
        return np.array(draw(self.seed, *self._place(i), self.res)[1])

    def _place(self, i: int) -> tuple[str, int]:
        if self.split != "trainval":
            return self.split, i
        return ("train", i) if i < SIZES["train"] else ("val", i - SIZES["train"])


def recognises(where: str) -> bool:
    return where.partition(":")[0] == "scenes"


def splits(where: str) -> tuple[str, ...]:
    return "train", "val", "test"


def load(where: str, split: str) -> Scenes:
    """where: scenes[:SEED[:HxW]]. Raises UsageError."""
    _, _, options = where.partition(":")
    seed, _, res = options.partition(":")
    if (seed and not (seed.isdecimal() and len(seed) <= 9)) or options.endswith(":"):
        raise UsageError(f"{where!r} is not scenes[:SEED[:HxW]], such as scenes:7 or scenes:7:1024x2048")
    return Scenes(split, int(seed or 0), Res.parse(res) if res else Scenes.default_res)


def draw(seed: int, split: str, number: int, res: Res) -> tuple[U8, U8]:
    """Frame (H, W, 3) u8 BGR and labels (H, W) u8 of one scene. The arrays are shared: don't write to them."""
    few_pixels = res.height * res.width <= Scenes.default_res.height * Scenes.default_res.width
    return (small if few_pixels else large)(seed, split, number, res)


def _draw(seed: int, split: str, number: int, res: Res) -> tuple[U8, U8]:
    rng = np.random.default_rng([seed, list(SIZES).index(split), number])
    sun = 1 if rng.random() < 0.5 else -1
    camera = Camera(
        res,
        float(rng.uniform(0.40, 0.52)),
        float(rng.uniform(1.3, 1.9)),
        float(rng.normal(0, 0.0012)),
        float(rng.normal(0, 0.012)),
    )
    haze = street.pick(rng, ((225, 215, 205), (200, 200, 200), (190, 210, 235)), 12)
    canvas = Canvas(
        camera, np.zeros((*res, 3), np.uint8), np.full(res, street.SKY, np.uint8), haze, float(rng.uniform(90, 400))
    )
    half_road, pavement = float(rng.uniform(3.2, 5.5)), float(rng.uniform(2.2, 4.5))
    _sky(canvas, rng)
    _ground(canvas, rng, half_road)
    for side in (-1, 1):
        _row(canvas, rng, side, half_road + pavement, sun)
    _shadow(canvas, rng, sun, half_road + pavement)
    for _, paint in sorted(_things(canvas, rng, half_road, pavement, sun), key=lambda thing: -thing[0]):
        paint()
    return _develop(canvas, rng), canvas.labels


# A frame and its labels are requested one after the other, and calibration reads its frames several times: drawing one
# takes a tenth of a second, and 64 small ones fill 44 MB.
small, large = lru_cache(maxsize=64)(_draw), lru_cache(maxsize=4)(_draw)


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    height, width = canvas.camera.res
    zenith = np.asarray(street.pick(rng, ((235, 180, 120), (205, 200, 195), (200, 160, 140)), 12))
    depth = np.linspace(0, 1, height)[:, None, None] ** 0.7
    clouds = cv2.GaussianBlur(cv2.resize(rng.random((6, 9)), (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 3)
    cover = np.clip((clouds - rng.uniform(0.3, 0.8)) * 2, 0, 1)[..., None]
    sky = (1 - depth) * zenith + depth * np.asarray(canvas.haze)
    canvas.picture[:] = np.clip((1 - cover) * sky + cover * 238, 0, 255)


def _ground(canvas: Canvas, rng: np.random.Generator, half_road: float) -> None:
    asphalt, slabs = (
        street.pick(rng, ((95, 95, 98), (70, 72, 75), (120, 118, 118))),
        street.pick(rng, ((140, 150, 160),)),
    )
    edges = np.geomspace(NEAR_M, 300, 24).tolist()
    steps = list(pairwise(edges))[::-1]  # in pieces, because a bent road is no polygon
    for z1, z2 in steps:
        canvas.polygon(street.flat(-400, 400, 0, z1, z2), slabs, street.PAVEMENT)
    for z1, z2 in steps:
        canvas.polygon(street.flat(-half_road, half_road, 0, z1, z2), asphalt, street.ROAD)
        for kerb in (-half_road, half_road):
            canvas.polygon(street.flat(kerb - 0.08, kerb + 0.08, 0, z1, z2), street.lit(slabs, 1.2))
    paint: Bgr = (205, 215, 215)
    for z in np.arange(NEAR_M, FAR_M, 6.0) + rng.uniform(0, 3):
        canvas.polygon(street.flat(-0.08, 0.08, 0.0, float(z), float(z) + 3), paint)
    if rng.random() < 0.4:  # a zebra crossing
        z = float(rng.uniform(8, 25))
        for x in np.arange(-half_road + 0.3, half_road - 0.5, 1.0):
            canvas.polygon(street.flat(float(x), float(x) + 0.5, 0, z, z + 3), paint)


def _row(canvas: Canvas, rng: np.random.Generator, side: int, x: float, sun: int) -> None:
    """Houses and gardens along one side, far to near."""
    z2 = FAR_M + float(rng.uniform(0, 15))
    while z2 > NEAR_M + 1:
        z1 = max(NEAR_M, z2 - float(rng.uniform(6, 18)))
        kind = rng.random()
        if kind < 0.55 or (z1 > 35 and kind < 0.92):
            street.building(canvas, rng, side * x, side, z1, z2, sun)
        elif kind < 0.95:
            for z in np.sort(rng.uniform(z1, z2, 6))[::-1]:
                street.tree(canvas, rng, side * (x + float(rng.uniform(1.5, 9))), float(z) + NEAR_M)
            street.fence(canvas, rng, side * x, z1, z2)
        z2 = z1


def _shadow(canvas: Canvas, rng: np.random.Generator, sun: int, x: float) -> None:
    """The shadow of the row on the sunny side, across pavement and road."""
    if rng.random() < 0.4:
        return
    cast, z1 = sun * float(rng.uniform(-0.5, 0.9)) * x, float(rng.uniform(NEAR_M, 20))
    mask = np.zeros(canvas.camera.res, np.uint8)
    shade = Canvas(canvas.camera, canvas.picture.copy(), mask, canvas.haze, canvas.haze_m)
    shade.polygon(street.flat(sun * x, cast, 0, z1, z1 + float(rng.uniform(10, 60))), (0, 0, 0), 1)
    ground = (mask == 1) & np.isin(canvas.labels, (street.ROAD, street.PAVEMENT))
    canvas.picture[ground] = canvas.picture[ground] * float(rng.uniform(0.55, 0.8))


def _things(
    canvas: Canvas, rng: np.random.Generator, half_road: float, pavement: float, sun: int
) -> list[tuple[float, Callable[[], None]]]:
    """Everything that stands on road and pavement: distance, and how to paint it."""
    # Each thing has its own generator, so the order of painting changes nothing.
    seeds = iter(rng.spawn(64))
    things: list[tuple[float, Callable[[], None]]] = []

    def add(z: float, paint: Callable[..., None], *where: float) -> None:
        own = next(seeds)
        things.append((z, lambda: paint(canvas, own, *where)))

    for side in (-1, 1):
        kerb, z = half_road + 0.5, float(rng.uniform(5, 14))
        while z < 28:
            add(z, street.lamp, side * kerb, side, z)
            z += float(rng.uniform(16, 30))
        for _ in range(rng.integers(1, 4)):
            z = float(rng.uniform(4, 16))
            add(z, street.sign, side * (half_road + float(rng.uniform(0.3, 0.9))), z)
        for _ in range(rng.integers(0, 3)):
            z = float(rng.uniform(9, 60))
            add(z, street.tree, side * (half_road + float(rng.uniform(0.8, pavement))), z)
        for _ in range(rng.integers(1, 6)):
            z = float(rng.triangular(3.5, 5, 14))
            add(z, street.pedestrian, side * (half_road + float(rng.uniform(0.4, pavement))), z)
        z = float(rng.uniform(5, 20))
        while z < 40 and rng.random() < 0.75:  # parked
            add(z, street.car, side * (half_road - 1.05), z, sun)
            z += float(rng.uniform(5.5, 12))
    for _ in range(rng.integers(0, 3)):  # driving
        z = float(rng.uniform(7, 35))
        add(z, street.car, float(rng.uniform(-0.45, 0.45)) * half_road, z, sun)
    for _ in range(rng.integers(1, 5)):
        z = float(rng.triangular(3.5, 5, 14))
        add(z, street.bicyclist, float(rng.uniform(-0.75, 0.75)) * half_road, z)
    return things


def _develop(canvas: Canvas, rng: np.random.Generator) -> U8:
    """Surface texture, exposure, colour cast, lens and sensor."""
    height, width = canvas.camera.res
    fine_strength, coarse_strength = (
        np.asarray(column, np.float32)[canvas.labels] for column in zip(*GRAIN, strict=True)
    )
    fine = cv2.resize(rng.standard_normal((240, 320), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    coarse = cv2.resize(rng.standard_normal((24, 32), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    texture = 1 + fine_strength * fine + coarse_strength * coarse
    exposure = np.exp(rng.normal(-0.05, 0.2)) * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - float(rng.uniform(0, 0.18)) * (across**2 + down**2)
    light = canvas.picture.astype(np.float32) * (texture * vignette)[..., None] * exposure
    blurred = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.3, 0.8)) * height / 360)
    blurred += float(rng.uniform(1, 5)) * rng.standard_normal(blurred.shape, np.float32)
    return np.asarray(np.clip(blurred, 0, 255), np.uint8)
