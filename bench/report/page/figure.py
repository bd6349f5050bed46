"""How a chart becomes part of a page: matplotlib's SVG, inline, in the colours of the page's theme.

matplotlib draws in colours that stand for something (`INK`, `SERIES[0]`, ...); in the SVG each is replaced by
a variable of the page's style sheet, so that one drawing serves light and dark. Text stays text. A chart is
drawn twice, for a wide and for a narrow screen, and the style sheet shows the one that fits: scaled down, a
wide chart can't be read on a phone.

SVG and not a script that draws: the report must work without JavaScript, and be small enough to mail.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Protocol

from cgnet_deploy.errors import require

# Stand-ins, one a variable of page.css. No chart draws in any other colour.
INK, SOFT, GRID, PAPER = "#020001", "#020002", "#020003", "#020004"
SERIES = tuple(f"#0101{number:02x}" for number in range(1, 9))
VARIABLES = {INK: "ink", SOFT: "soft", GRID: "grid", PAPER: "paper"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES)
}
MARKERS = "osD^vPXp"  # with the colours: neither alone has to tell engines apart

WIDE_PX, NARROW_PX = 720, 358
LINE_PX = 15  # of text


class Painter(Protocol):
    """Draws on an empty matplotlib Figure."""

    def __call__(self, figure: Any, narrow: bool) -> None: ...


STYLE = {
    "svg.fonttype": "none",
    "font.size": 12,
    "text.color": INK,
    "text.parse_math": False,  # a file may be called $x$
    "axes.unicode_minus": True,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.facecolor": "none",
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 1,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@dataclass(frozen=True, slots=True)
class Chart:
    """title, note: plain text. wide, narrow: SVG, safe to put into HTML as it is."""

    title: str
    note: str
    wide: str
    narrow: str


def chart(name: str, title: str, note: str, height_px: tuple[int, int], paint: Painter) -> Chart:
    """Let `paint` draw at both widths. name: unique in the page. height_px: wide and narrow."""
    wide = svg(f"{name}-wide", title, WIDE_PX, height_px[0], partial(paint, narrow=False))
    narrow = svg(f"{name}-narrow", title, NARROW_PX, height_px[1], partial(paint, narrow=True))
    return Chart(title, note, wide, narrow)


def svg(name: str, title: str, width_px: int, height_px: int, paint: Callable[[Any], None]) -> str:
    """One drawing; its ids begin with `name`, since all charts of a page share one space of ids."""
    matplotlib, figures = require("matplotlib", extra="report"), require("matplotlib.figure", extra="report")
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = figures.Figure(figsize=(width_px / 72, height_px / 72), dpi=72, layout="constrained")
        paint(figure)
        figure.savefig(file := io.StringIO(), format="svg", transparent=True, metadata=NO_METADATA)
    return themed(file.getvalue(), name, title)


NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def themed(drawing: str, name: str, title: str) -> str:
    """matplotlib's SVG as a part of a page."""
    body = drawing[drawing.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    _, opening, inside = re.split(r"(<svg[^>]*>)", body, maxsplit=1)
    box = re.search(r'viewBox="([\d. ]+)"', opening)
    if box is None:
        raise ValueError(f"matplotlib wrote an SVG without a viewBox: {opening[:80]}")
    # Only within tags: what stands between them is text that users gave.
    inside = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name), inside)
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(title)}">{inside.strip()}'


def _tag(tag: str, name: str) -> str:
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"transform=\"rotate\(-0 [^\"]*\"|\n", " ", tag)
    return re.sub(r"#[0-9a-f]{6}", lambda match: _variable(match[0]), tag)


def _variable(colour: str) -> str:
    return f"var(--{VARIABLES[colour]})" if colour in VARIABLES else colour
