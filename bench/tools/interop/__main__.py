"""python -m cgnet_deploy.bench.tools.interop --data camvid --constant official.pth --page docs/runtimes.md

Load every kind of file in everything that people load ONNX files with, and write what came out as a page. Consumers
have environments of their own in a folder, and results stay there: --only tries some of them again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.bench.tools.interop.cells import Cell, cell, environment
from cgnet_deploy.bench.tools.interop.consumers import CONSUMERS
from cgnet_deploy.bench.tools.interop.files import files
from cgnet_deploy.bench.tools.interop.page import page
from cgnet_deploy.codec import from_json, to_json
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import read_json, write_bytes, write_json
from cgnet_deploy.terminal import Parser, run

WEIGHTS = Path(__file__).parents[3] / "weights" / "camvid.pth"
MAX_RESULT_BYTES = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 usage or bad input."""
    parser = Parser("interop", "Try ONNX files in what people load them with.")
    add = parser.add_argument
    add("--live", type=Path, default=WEIGHTS, metavar="FILE", help="a checkpoint (default: our CamVid weights)")
    add("--constant", type=Path, metavar="FILE", help="one of which gates and channels are constant")
    add("--data", default="scenes", metavar="DIR", help="frames, and images to calibrate on (default drawn scenes)")
    add("--images", type=int, default=2, metavar="N", help="frames a file is tried with, an even number (default 2)")
    add("--folder", type=Path, default=Path(".interop"), help="environments, files and results (default .interop)")
    add("--only", action="append", choices=[one.key for one in CONSUMERS], help="try these again (repeat)")
    add("--page", type=Path, metavar="FILE", help="write the page here")
    return run(parser, _interop, argv)


def _interop(args: argparse.Namespace) -> int:
    args.folder.mkdir(exist_ok=True)
    made = files(args.live, args.constant, args.data, args.images, args.folder)
    results: list[Cell] = []
    for consumer in CONSUMERS:
        kept = args.folder / f"{consumer.key}.json"
        if consumer.key in (args.only or ()) or not kept.exists():
            tried = [file for file in made if file.io in consumer.takes]
            try:
                place = environment(consumer, args.folder / "env")
                cells = [cell(consumer, file, place) for file in tried]
            except CgnetError as error:
                cells = [Cell(consumer.key, file.kind.name, file.io, None, str(error)) for file in tried]
            write_json(kept, to_json(cells))
        results += [from_json(Cell, one) for one in read_json(kept, MAX_RESULT_BYTES)]
    if args.page:
        write_bytes(args.page, page(results, args.images).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
