"""docs/runtimes.md: template.md with a table of what every consumer makes of every kind of file, one of what came out
on more frames, and the commands and code for each consumer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import get_args

from cgnet_deploy.artifact import IO
from cgnet_deploy.bench.tools.interop.cells import Cell
from cgnet_deploy.bench.tools.interop.consumers import CONSUMERS, SNIPPETS, Consumer
from cgnet_deploy.bench.tools.interop.files import KINDS

TEMPLATE = Path(__file__).with_name("template.md")
LIMITS = {kind.name: kind.limit for kind in KINDS}
HALF = {one.key for one in CONSUMERS if one.half}


def page(results: Sequence[Cell]) -> str:
    """The page, in Markdown. Of cells that were tried again the last counts."""
    latest = {(cell.frames, cell.consumer, cell.kind, cell.io): cell for cell in results}.values()
    fewest = min((cell.frames for cell in latest), default=0)
    cells = [cell for cell in latest if cell.frames == fewest]
    more = [cell for cell in latest if cell.frames != fewest]
    text = TEMPLATE.read_text()
    for name, part in (
        ("table", _table(cells)),
        ("more frames", _more(more)),
        (
            "consumers",
            "".join(_section(one, [cell for cell in cells if cell.consumer == one.key]) for one in CONSUMERS),
        ),
    ):
        text = text.replace(f"<!-- {name} -->\n", part)
    return text


def _table(cells: Sequence[Cell]) -> str:
    known = {(cell.consumer, cell.kind, cell.io): cell for cell in cells}
    names = [kind.name for kind in KINDS]
    rows = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for consumer in CONSUMERS:
        shown = [" / ".join(_text(known.get((consumer.key, name, io))) for io in get_args(IO)) for name in names]
        rows.append(f"| {consumer.title} | {' | '.join(shown)} |")
    return "\n".join(rows) + "\n"


def _more(cells: Sequence[Cell]) -> str:
    titles = {consumer.key: consumer.title for consumer in CONSUMERS}
    rows = [
        f"| {titles[cell.consumer]} | {cell.kind} | {cell.io} | {cell.frames} | {_text(cell, 5)} |"
        for cell in sorted(cells, key=lambda cell: list(titles).index(cell.consumer))
    ]
    return "\n".join(["| | file | in | frames | equal |", "|---|---|---|---|---|", *rows]) + "\n"


def _text(cell: Cell | None, decimals: int = 3) -> str:
    if cell is None:
        return "-"
    if cell.equal is None:
        return "no"
    step = 10**decimals
    percent = f"{int(cell.equal * 100 * step) / step:.9g}"  # rounded down: 100 is all of them
    limit = min(LIMITS[cell.kind], LIMITS["f16"]) if cell.consumer in HALF else LIMITS[cell.kind]
    return percent if cell.equal >= limit else f"**{percent}**"


def _section(consumer: Consumer, cells: Sequence[Cell]) -> str:
    code = (SNIPPETS / consumer.snippet).read_text().strip()
    language = "javascript" if consumer.snippet.endswith(".mjs") else "python"
    refused = sorted((cell for cell in cells if cell.equal is None), key=lambda cell: cell.words)
    words = [
        f"{', '.join(f'{cell.kind} ({cell.io})' for cell in group)}: {said}\n"
        for said, group in groupby(refused, key=lambda cell: cell.words)
    ]
    note = f"\n{consumer.note}\n" if consumer.note else ""
    return (
        f"\n## {consumer.title}\n\n```console set-up\n$ {consumer.install}\n```\n{note}\n"
        f"```{language} sketch\n{code}\n```\n" + (f"\n```text output\n{''.join(words)}```\n" if words else "")
    )
