"""Text tables, the same on a terminal and in a pipe: columns as wide as they need to be, nothing cut off or wrapped."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence

UNBOUNDED = 1 << 20  # characters; rich fits a table to the width that it is given


def text_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """Headings, a line of dashes, and the rows. right: the headings of the columns to align right, as numbers are."""
    from rich.box import Box  # a tenth of a second, which `--help` would wait for too
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    dashes = Box("\n".join(["    ", "    ", " -- ", *["    "] * 5]), ascii=True)
    table = Table(box=dashes, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(Text(heading), justify="right" if heading in right else "left", no_wrap=True)
    for row in rows:
        # Text, since a file may be called [red]; and a line break in a name must not make two rows of one.
        table.add_row(*(Text(" ".join(cell.splitlines())) for cell in row))
    console = Console(file=(text := io.StringIO()), width=UNBOUNDED, color_system=None, legacy_windows=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
