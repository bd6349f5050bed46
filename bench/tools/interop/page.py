"""docs/runtimes.md: a table of what every consumer makes of every kind of file, and the commands and code for each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from cgnet_deploy.artifact import IO
from cgnet_deploy.bench.tools.interop.cells import Cell
from cgnet_deploy.bench.tools.interop.consumers import CONSUMERS, SNIPPETS, Consumer
from cgnet_deploy.bench.tools.interop.files import KINDS

LIMITS = {kind.name: kind.limit for kind in KINDS}

HEAD = """# Runtimes that load our files

`cgnet-export` without `--target` writes a file that loads where people are: opset 17 (`--opset` chooses another, from
13), IR version 8, and operators that old and small runtimes read. This page is written by `make interop`, which loads
each kind of file in each runtime or converter, in an environment of its own, on {images} frames, and compares the
labels with those of ONNX Runtime on the same file.

```console maintainer
$ make interop DATA=camvid
```

A number is the share of equal labels in percent; two stand for frames in / tensor in (`--tensor-io`). **A bold number
is below what that kind of file should reach** (100 in f32, up to one pixel in 100,000; 99.99 in f16; 99.9 in int8):
don't use that file there. `no` is a refusal, in the consumer's own words below; `-` was not tried.

`constant gates` and `pruned` are of weights of which that holds, the official CamVid ones; the other columns are of
`camvid.pth`, whose gates are live.

"""

ADVICE = """
## What to export

| for | type |
|---|---|
| any runtime of the table, in f32 | `cgnet-export --ckpt model.pth --no-engine` |
| MNN, ncnn, LiteRT | the same, `--tensor-io` where it wants planes; quantise there, not by `--int8` |
| OpenCV | a fixed size, f32 |
| ONNX Runtime or OpenVINO alone, faster | `--target ort-cpu` or `--target openvino`; others may refuse these |

`opencv:cgnet.onnx` runs a file by OpenCV in `cgnet-bench`, `cgnet-video` and `open_engine`: it is there wherever this
package is.
"""


def page(cells: Sequence[Cell], images: int) -> str:
    """The page, in Markdown. images: how many frames each file was tried with."""
    known = {(cell.consumer, cell.kind, cell.io): cell for cell in cells}
    names = [kind.name for kind in KINDS]
    rows = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for consumer in CONSUMERS:
        shown = [" / ".join(_text(known.get((consumer.key, name, io))) for io in get_args(IO)) for name in names]
        rows.append(f"| {consumer.title} | {' | '.join(shown)} |")
    sections = [_section(consumer, [cell for cell in cells if cell.consumer == consumer.key]) for consumer in CONSUMERS]
    return HEAD.format(images=images) + "\n".join(rows) + "\n" + ADVICE + "".join(sections)


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.equal is None:
        return "no"
    percent = f"{int(cell.equal * 1e5) / 1e3:g}"  # rounded down: 100 is all of them
    return percent if cell.equal >= LIMITS[cell.kind] else f"**{percent}**"


def _section(consumer: Consumer, cells: Sequence[Cell]) -> str:
    code = (SNIPPETS / consumer.snippet).read_text().strip()
    language = "javascript" if consumer.snippet.endswith(".mjs") else "python"
    refused = sorted((cell for cell in cells if cell.equal is None), key=lambda cell: cell.words)
    words = [
        f"{', '.join(f'{cell.kind} ({cell.io})' for cell in group)}: {said}\n"
        for said, group in groupby(refused, key=lambda cell: cell.words)
    ]
    why = f"\nOnly with `--tensor-io`: {consumer.why}.\n" if consumer.why else ""
    return (
        f"\n## {consumer.title}\n\n```console set-up\n$ {consumer.install}\n```\n{why}\n"
        f"```{language} sketch\n{code}\n```\n" + (f"\n```text output\n{''.join(words)}```\n" if words else "")
    )
