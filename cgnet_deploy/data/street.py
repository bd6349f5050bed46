"""The things that stand and move in a drawn street, each painted by one function.

Every function takes the canvas, the random generator that decides the details, and where the thing stands.
`side` is -1 for the left of the road, +1 for the right.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.canvas import Bgr, Canvas, Point

_LABELS = {name: i for i, name in enumerate(CAMVID_CLASSES.names)}
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = (
    _LABELS[name]
    for name in (
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    )
)

Rng = np.random.Generator

BRICK: tuple[Bgr, ...] = (
    (70, 85, 140),
    (110, 140, 170),
    (150, 160, 165),
    (95, 105, 120),
    (170, 190, 205),
    (60, 70, 95),
)
PAINT: tuple[Bgr, ...] = ((40, 40, 45), (200, 200, 205), (150, 150, 150), (35, 30, 140), (120, 60, 30), (60, 90, 50))
CLOTH: tuple[Bgr, ...] = ((40, 40, 40), (110, 60, 40), (50, 50, 150), (140, 140, 150), (60, 100, 70), (40, 150, 190))
SKIN: tuple[Bgr, ...] = ((130, 160, 205), (70, 100, 150), (50, 70, 100))
SIGNS: tuple[tuple[Bgr, Bgr], ...] = (
    ((230, 230, 235), (40, 40, 200)),
    ((190, 100, 30), (230, 230, 230)),
    ((60, 200, 230), (40, 40, 40)),
)


def pick(rng: Rng, colours: tuple[Bgr, ...], spread: float = 18) -> Bgr:
    """One of the colours, varied by a standard deviation of `spread` in brightness and less in hue."""
    b, g, r = np.asarray(colours[rng.integers(len(colours))]) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    return float(b), float(g), float(r)


def lit(colour: Bgr, factor: float) -> Bgr:
    b, g, r = (factor * c for c in colour)
    return b, g, r


def wall(x: float, low: float, high: float, z1: float, z2: float) -> list[Point]:
    """A face along the road."""
    return [(x, low, z1), (x, high, z1), (x, high, z2), (x, low, z2)]


def facing(x1: float, x2: float, low: float, high: float, z: float) -> list[Point]:
    """A face towards the camera."""
    return [(x1, low, z), (x1, high, z), (x2, high, z), (x2, low, z)]


def flat(x1: float, x2: float, y: float, z1: float, z2: float) -> list[Point]:
    """A level face."""
    return [(x1, y, z1), (x2, y, z1), (x2, y, z2), (x1, y, z2)]


def building(canvas: Canvas, rng: Rng, x: float, side: int, z1: float, z2: float, sun: int) -> None:
    """A house whose front runs along the road at x from z1 to z2. sun: the side from which light comes."""
    floors, storey_m = int(rng.integers(2, 6)), float(rng.uniform(2.8, 3.4))
    top, back = floors * storey_m, x + side * 12
    colour, glass = pick(rng, BRICK), pick(rng, ((70, 60, 50), (150, 140, 120)))
    front = lit(colour, 0.65 if sun == side else 1.05)
    canvas.polygon(facing(x, back, 0, top, z1), lit(colour, 0.85), BUILDING)
    canvas.polygon(wall(x, 0, top, z1, z2), front, BUILDING)
    if rng.random() < 0.5:
        ridge = (x + side * 4, top + 3.0)
        slope = [(x, top, z1), (*ridge, z1), (*ridge, z2), (x, top, z2)]
        canvas.polygon([(x, top, z1), (*ridge, z1), (x + side * 8, top, z1)], lit(colour, 0.85), BUILDING)
        canvas.polygon(slope, pick(rng, ((60, 65, 90), (80, 75, 70))), BUILDING)
    bays = max(1, int((z2 - z1) / rng.uniform(2.4, 3.6)))
    pitch, shop = (z2 - z1) / bays, rng.random() < 0.35
    for floor in range(floors):
        low = floor * storey_m + (0.3 if shop and floor == 0 else 0.9)
        high = floor * storey_m + storey_m - 0.6
        for bay in range(bays):
            z = z1 + pitch * (bay + 0.25)
            pane = lit(glass, float(rng.uniform(0.6, 1.5)))
            canvas.polygon(wall(x, low, high, z, z + pitch * (0.8 if shop and floor == 0 else 0.5)), pane)
        canvas.line((x, floor * storey_m, z1), (x, floor * storey_m, z2), 0.1, lit(front, 0.8))


def tree(canvas: Canvas, rng: Rng, x: float, z: float) -> None:
    height, spread = float(rng.uniform(4, 9)), float(rng.uniform(1.2, 2.6))
    canvas.line((x, 0, z), (x, 0.6 * height, z), 0.3, pick(rng, ((45, 60, 75),)), TREE)
    leaves = pick(rng, ((40, 85, 60), (35, 110, 90), (50, 70, 45)))
    for brightness in np.sort(rng.uniform(0.55, 1.35, 26)).tolist():  # the light ones lie on top
        right, up = 0.5 * spread * rng.standard_normal(), 0.17 * height * rng.standard_normal()
        size = rng.uniform(0.25, 0.5) * spread
        canvas.disc((x + right, 0.68 * height + up, z), (size, 0.8 * size), lit(leaves, brightness), TREE)


def fence(canvas: Canvas, rng: Rng, x: float, z1: float, z2: float) -> None:
    """Railings or boards along the road."""
    height, colour = float(rng.uniform(1.5, 2.2)), pick(rng, ((40, 70, 45), (110, 150, 185), (205, 205, 205)))
    canvas.polygon(wall(x, 0, height, z1, z2), lit(colour, 0.6), FENCE)
    for z in np.arange(z2, z1, -0.7):
        canvas.line((x, 0, float(z)), (x, height + 0.1, float(z)), 0.1, lit(colour, 1.25), FENCE)
    canvas.line((x, height, z1), (x, height, z2), 0.08, colour, FENCE)


def lamp(canvas: Canvas, rng: Rng, x: float, side: int, z: float) -> None:
    colour, height = pick(rng, ((75, 75, 75), (130, 130, 125))), float(rng.uniform(5, 8))
    canvas.line((x, 0, z), (x, height, z), 0.26, colour, POLE)
    canvas.line((x, height, z), (x - side * 1.6, height + 0.4, z), 0.2, colour, POLE)


def sign(canvas: Canvas, rng: Rng, x: float, z: float) -> None:
    """A traffic sign or a traffic light on its pole."""
    grey, low = pick(rng, ((120, 120, 120),)), float(rng.uniform(2.0, 2.7))
    canvas.line((x, 0, z), (x, low + 0.3, z), 0.18, grey, POLE)
    face, border = SIGNS[rng.integers(len(SIGNS))]
    shape = rng.integers(4)
    if shape == 0:
        canvas.disc((x, low + 0.45, z), (0.48, 0.48), border, SIGN)
        canvas.disc((x, low + 0.45, z), (0.34, 0.34), face)
    elif shape == 1:
        canvas.polygon([(x - 0.55, low, z), (x + 0.55, low, z), (x, low + 1.0, z)], border, SIGN)
        canvas.polygon([(x - 0.3, low + 0.15, z), (x + 0.3, low + 0.15, z), (x, low + 0.7, z)], face)
    elif shape == 2:
        canvas.polygon(facing(x - 0.6, x + 0.6, low, low + 0.9, z), border, SIGN)
        canvas.polygon(facing(x - 0.5, x + 0.5, low + 0.1, low + 0.8, z), face)
    else:
        canvas.polygon(facing(x - 0.24, x + 0.24, low, low + 1.1, z), (30, 30, 30), SIGN)
        bulbs: tuple[Bgr, ...] = ((60, 200, 60), (40, 180, 230), (50, 50, 230))
        for n, bulb in enumerate(bulbs):
            on = rng.random() < 0.4
            canvas.disc((x, low + 0.2 + 0.35 * n, z), (0.13, 0.13), bulb if on else lit(bulb, 0.3))


def car(canvas: Canvas, rng: Rng, x: float, z: float, sun: int) -> None:
    """A car or a van whose near end is at z; it drives away or comes towards the camera."""
    van = rng.random() < 0.15
    half, length, waist, roof = (0.95, 5.0, 1.1, 2.2) if van else (0.88, 4.1, 0.85, 1.42)
    paint, glass = pick(rng, PAINT, 12), lit((75, 65, 55), float(rng.uniform(0.6, 1.6)))
    inner = x + half if x < 0 else x - half  # the flank that the camera sees
    shade = 0.6 if (sun > 0) == (inner > x) else 0.95
    far = z + length
    canvas.polygon(flat(x - half - 0.15, x + half + 0.15, 0, z - 0.2, far + 0.2), (35, 35, 35))
    canvas.polygon(wall(inner, 0.25, waist, z, far), lit(paint, shade), CAR)
    slant = 0.15 if van else 0.7
    cabin = [
        (inner, waist, z + 0.1),
        (inner, roof, z + slant),
        (inner, roof, far - slant - 0.6),
        (inner, waist, far - 0.8),
    ]
    canvas.polygon(cabin, lit(paint, shade), CAR)
    pane = [
        (inner, waist, z + 0.5),
        (inner, roof - 0.1, z + slant + 0.2),
        (inner, roof - 0.1, far - slant - 0.9),
        (inner, waist, far - 1.2),
    ]
    canvas.polygon(pane, glass)
    for wheel in (z + 0.75, far - 0.75):
        tyre = [
            (inner, 0.32 + 0.32 * float(np.sin(a)), wheel + 0.32 * float(np.cos(a))) for a in np.arange(0, 6.2, 0.5)
        ]
        canvas.polygon(tyre, (25, 25, 25), CAR)
    canvas.polygon(facing(x - half, x - half + 0.25, 0, 0.35, z), (25, 25, 25), CAR)
    canvas.polygon(facing(x + half - 0.25, x + half, 0, 0.35, z), (25, 25, 25), CAR)
    canvas.polygon(facing(x - half, x + half, 0.25, waist, z), lit(paint, 0.9), CAR)
    window = [
        (x - half, waist, z),
        (x - half + 0.15, roof, z + slant),
        (x + half - 0.15, roof, z + slant),
        (x + half, waist, z),
    ]
    canvas.polygon(window, lit(paint, 1.1), CAR)
    inset = [(px + (0.1 if px < x else -0.1), py + (0.03 if py == waist else -0.1), pz) for px, py, pz in window]
    canvas.polygon(inset, glass)
    lights: Bgr = (40, 40, 190) if rng.random() < 0.5 else (215, 230, 230)
    for end in (x - half + 0.08, x + half - 0.38):
        canvas.polygon(facing(end, end + 0.3, waist - 0.27, waist - 0.1, z), lights)
    canvas.polygon(facing(x - 0.26, x + 0.26, 0.42, 0.54, z), (200, 215, 215))


def pedestrian(canvas: Canvas, rng: Rng, x: float, z: float) -> None:
    size, stride = float(rng.uniform(0.85, 1.08)), float(rng.uniform(0.05, 0.28))
    trousers, coat = pick(rng, CLOTH), pick(rng, CLOTH)
    hip, neck = 0.85 * size, 1.42 * size
    for foot in (-stride, stride):
        canvas.line((x + foot, 0.04, z), (x + foot / 4, hip, z), 0.17, trousers, PEDESTRIAN)
    _trunk(canvas, (x, hip, z), (x, neck, z), 0.42 * size, coat, PEDESTRIAN)
    for hand in (-0.3, 0.3):
        canvas.line((x + hand * 0.8, neck - 0.1, z), (x + hand, hip, z), 0.12, lit(coat, 0.8), PEDESTRIAN)
    _head(canvas, rng, (x, neck + 0.17, z), PEDESTRIAN)


def bicyclist(canvas: Canvas, rng: Rng, x: float, z: float) -> None:
    """Somebody riding along the road (wheels seen end on) or across it (from the side)."""
    frame, coat, trousers = pick(rng, PAINT), pick(rng, CLOTH), pick(rng, CLOTH)
    across = rng.random() < 0.5
    lean, saddle = (0.35, 0.98) if across else (0.0, 0.95)
    if across:
        for wheel in (-0.52, 0.52):
            canvas.ring((x + wheel, 0.34, z), (0.34, 0.34), 0.06, (30, 30, 30), BICYCLIST)
        for a, b in (((-0.52, 0.34), (-0.1, saddle)), ((-0.1, 0.34), (0.4, 0.9)), ((0.52, 0.34), (0.42, 1.05))):
            canvas.line((x + a[0], a[1], z), (x + b[0], b[1], z), 0.06, frame, BICYCLIST)
    else:
        canvas.line((x - 0.32, 1.0, z), (x + 0.32, 1.0, z), 0.06, frame, BICYCLIST)
    for knee in (-0.14, 0.14):
        canvas.line((x - 0.05, saddle, z), (x + knee + lean / 3, 0.3, z), 0.16, trousers, BICYCLIST)
    if not across:
        canvas.disc((x, 0.36, z), (0.07, 0.36), (25, 25, 25), BICYCLIST)
        canvas.disc((x, 0.72, z), (0.08, 0.07), (40, 40, 210), BICYCLIST)
    shoulder: Point = (x - 0.05 + lean, 1.5, z)
    _trunk(canvas, (x - 0.05, saddle - 0.05, z), shoulder, 0.4, coat, BICYCLIST)
    canvas.line(shoulder, (x + 0.3 * (1 if across else -1), 1.05, z), 0.11, lit(coat, 0.85), BICYCLIST)
    _head(canvas, rng, (shoulder[0] + 0.05, 1.68, z), BICYCLIST)


def _trunk(canvas: Canvas, hip: Point, neck: Point, width_m: float, colour: Bgr, label: int) -> None:
    (x1, y1, z), (x2, y2, _) = hip, neck
    half = width_m / 2
    outline = [
        (x1 - 0.8 * half, y1, z),
        (x2 - half, y2 - 0.1, z),
        (x2 - half / 3, y2, z),
        (x2 + half / 3, y2, z),
        (x2 + half, y2 - 0.1, z),
        (x1 + 0.8 * half, y1, z),
    ]
    canvas.polygon(outline, colour, label)


def _head(canvas: Canvas, rng: Rng, centre: Point, label: int) -> None:
    x, y, z = centre
    canvas.disc((x, y + 0.03, z), (0.13, 0.15), pick(rng, ((30, 35, 45), (60, 90, 120), (110, 110, 115))), label)
    canvas.disc((x, y - 0.03, z), (0.1, 0.12), pick(rng, SKIN), label)
