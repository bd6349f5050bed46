"""Axes of times, linear or logarithmic as the times ask for."""

from __future__ import annotations

from typing import Any

from cgnet_deploy.errors import require

LOG_FROM = 4  # times the smallest value: from there on an axis is logarithmic


def time_axis(axes: Any, low: float, high: float, margin: float) -> None:
    """x in ms from low to high, logarithmic where that is what it takes to see both."""
    ticker = require("matplotlib.ticker", extra="report")
    if high > LOG_FROM * low:
        axes.set_xscale("log")
        room = (high / low) ** margin
        axes.set_xlim(low / room, high * room)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=steps(low, high)))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    else:
        room = margin * (high - low) or margin * low
        axes.set_xlim(max(low - room, 0), high + room)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def steps(low: float, high: float) -> tuple[float, ...]:
    """The numbers of a decade that a logarithmic axis is marked at: enough of them on a short one."""
    return (1, 1.5, 2, 3, 4, 6, 8) if high < 15 * low else (1, 2, 5)
