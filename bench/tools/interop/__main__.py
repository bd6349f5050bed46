"""python -m cgnet_deploy.bench.tools.interop --data camvid --constant official.pth --page docs/runtimes.md

Load every kind of file in everything that people load ONNX files with, and write what came out as a page. Consumers
have environments of their own in a folder. Each result is kept there at once, so a run that was stopped goes on, and
what was tried is not tried again unless its file is another one: delete the folder's ONNX files after a change of the
exporter. --consumer, --kind and --io narrow what is tried, --again tries it once more; the page has all results.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from cgnet_deploy.artifact import IO
from cgnet_deploy.bench.tools.interop.cells import Cell, cell, environment
from cgnet_deploy.bench.tools.interop.consumers import CONSUMERS
from cgnet_deploy.bench.tools.interop.files import KINDS, files
from cgnet_deploy.bench.tools.interop.page import page
from cgnet_deploy.codec import dumps, loads
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import write_bytes
from cgnet_deploy.terminal import Parser, integer, run

log = logging.getLogger(__name__)

WEIGHTS = Path(__file__).parents[3] / "weights" / "camvid-scratch.pth"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 usage or bad input."""
    parser = Parser("interop", "Try ONNX files in what people load them with.")
    add = parser.add_argument
    keys, kinds, ios = [one.key for one in CONSUMERS], [one.name for one in KINDS], get_args(IO)
    add("--live", type=Path, default=WEIGHTS, metavar="FILE", help="a checkpoint (default: camvid-scratch.pth)")
    add("--constant", type=Path, metavar="FILE", help="one of which gates and channels are constant")
    add("--data", default="scenes", metavar="DIR", help="frames, and images to calibrate on (default drawn scenes)")
    add("--frames", type=integer(2, 10_000), default=2, metavar="N", help="try each file with N (default 2)")
    add("--folder", type=Path, default=Path(".interop"), help="environments, files and results (default .interop)")
    add("--consumer", action="append", choices=keys, metavar="KEY", help=f"only this of {', '.join(keys)} (repeat)")
    add("--kind", action="append", choices=kinds, metavar="KIND", help=f"only this of {', '.join(kinds)} (repeat)")
    add("--io", action="append", choices=ios, help="only this kind of input (repeat)")
    add("--again", action="store_true", help="try what was tried before, too")
    add("--page", type=Path, metavar="FILE", help="write the page here")
    return run(parser, _interop, argv)


def _interop(args: argparse.Namespace) -> int:
    folder = args.folder.resolve()
    folder.mkdir(exist_ok=True)
    kept = folder / "results.jsonl"
    kinds = [one for one in KINDS if one.name in (args.kind or [one.name])]
    made = files(kinds, args.io or get_args(IO), args.live, args.constant, args.data, args.frames, folder)
    tried = set() if args.again else {(one.consumer, one.sha256, one.frames) for one in _read(kept)}
    for consumer in CONSUMERS:
        wanted = [
            file
            for file in made
            if consumer.key in (args.consumer or [consumer.key])
            and file.io in consumer.takes
            and (consumer.key, file.sha256, file.frames) not in tried
        ]
        if not wanted:
            continue
        try:
            place = environment(consumer, folder / "env")
        except CgnetError as error:
            log.warning(str(error))
            continue
        for file in wanted:
            with kept.open("a") as stream:
                stream.write(dumps(cell(consumer, file, place)) + "\n")
    if args.page:
        write_bytes(args.page, page(_read(kept)).encode())
    return 0


def _read(kept: Path) -> list[Cell]:
    return [loads(Cell, line) for line in kept.read_text().splitlines()] if kept.exists() else []


if __name__ == "__main__":
    sys.exit(main())
