"""cgnet-bench: mIoU and latency of engines, in one table.

cgnet-bench --engine cgnet.plan --res 1024x2048
cgnet-bench --engine model.pth --engine cgnet.onnx --data camvid --split val --json result.json
cgnet-bench --engine model.pth --engine cgnet.onnx --data camvid --jsonl rows.jsonl --report report.html
cgnet-bench --from rows.jsonl --report report.html
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cgnet_deploy import terminal
from cgnet_deploy.bench.options import parser
from cgnet_deploy.errors import UsageError
from cgnet_deploy.files import write_bytes
from cgnet_deploy.places import STDOUT, check_writable, is_stream
from cgnet_deploy.spec import Res

if TYPE_CHECKING:
    from cgnet_deploy.bench.accuracy.gallery import Gallery
    from cgnet_deploy.bench.machine.environment import Environment
    from cgnet_deploy.bench.report.record import Record

log = logging.getLogger(__name__)

FORMS = ("json", "csv", "markdown", "report")
GATES = ("baseline", "fail_under_miou", "fail_over_ms")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 and 4 a gate of accuracy or speed, 5 can't run here."""
    words = sys.argv[1:] if argv is None else argv
    return terminal.run(parser(), lambda args: bench(args, words), words)


def bench(args: argparse.Namespace, argv: Sequence[str]) -> int:
    from cgnet_deploy.bench.api import benchmark
    from cgnet_deploy.bench.machine.environment import describe
    from cgnet_deploy.bench.report import gates, jsonl
    from cgnet_deploy.bench.report.baseline import check_against, read_baseline

    check(args)
    baseline = read_baseline(args.baseline) if args.baseline else None
    galleries: list[Gallery] = []
    if args.source:
        records, here = jsonl.read_last_run(args.source)
    else:
        here = describe(args.threads, ("cgnet-bench", *argv))
        res, batch = cells(args)
        records = benchmark(
            args.engine,
            res=res,
            batch=batch,
            boundaries=args.boundary or ("e2e",),
            threads=args.threads,
            fps=args.fps,
            data=args.data,
            split=args.split,
            limit=args.limit,
            outlines=args.outlines,
            ms_flip=args.ms_flip,
            profile=args.profile,
            warmup_ms=args.warmup,
            duration_s=args.duration,
            iterations=args.iterations,
            contract=args.contract,
            names=args.names,
            mean=args.mean,
            std=args.std,
            color=args.color,
            trust=args.trust,
            weights=args.weights,
            cache=args.cache,
            jsonl=args.jsonl,
            environment=here,
            show=galleries.append if args.report else None,
        )
    publish(args, records, here, galleries)
    if args.fail_under_miou is not None:
        gates.check_miou(records, args.fail_under_miou)
    if args.fail_over_ms is not None:
        gates.check_p50(records, args.fail_over_ms)
    if baseline:
        check_against(baseline, records, here)
    return 0


def cells(args: argparse.Namespace) -> tuple[Sequence[Res], Sequence[int]]:
    """The sizes and the batches to go through."""
    if args.shapes:
        batch, res = args.shapes
        return (res,), (batch,)
    return args.res or (), [batch for batches in args.batch or () for batch in batches]


def check(args: argparse.Namespace) -> None:
    """Raise UserError for flags that don't go together or a file that can't be written, before any work."""
    if (args.engine is None) == (args.source is None):
        raise UsageError("give --engine FILE to measure, or --from FILE to show what was measured earlier")
    if args.source:
        # Whatever is not about reading or writing is about measuring, and would do nothing.
        defaults, written = vars(parser().parse_args(())), {"source", "log_level", *FORMS, *GATES}
        for name in sorted(vars(args).keys() - written):
            if getattr(args, name) != defaults[name]:
                raise UsageError(
                    f"--{name.replace('_', '-')} is about measuring, and --from measures nothing: leave one out"
                )
    if args.shapes and (args.res or args.batch):
        raise UsageError("--shapes says what --res and --batch say: leave it, or them, out")
    if args.fail_under_miou is not None and args.data is None and args.source is None:
        raise UsageError("--fail-under-miou needs --data")
    outputs = [path for name in (*FORMS, "jsonl") if (path := getattr(args, name))]
    if outputs.count(STDOUT) > 1:
        raise UsageError("only one of --json, --csv, --markdown and --report can go to stdout")
    if args.jsonl and is_stream(args.jsonl):
        raise UsageError(f"--jsonl {args.jsonl}: wanted a regular file, which can be read back")
    if args.report:
        from cgnet_deploy.bench.report.page.page import check_packages

        check_packages()
    for path in outputs:
        check_writable(path)


def publish(
    args: argparse.Namespace, records: Sequence[Record], here: Environment, galleries: Sequence[Gallery]
) -> None:
    """The table to stdout, or to stderr where another form has stdout; each file atomically."""
    from cgnet_deploy.bench.report import table as report
    from cgnet_deploy.bench.report.notes import notes
    from cgnet_deploy.bench.report.page.page import page

    forms: tuple[tuple[Path | None, Callable[[], str]], ...] = (
        (args.json, lambda: json.dumps(report.to_json(records, here), indent=2, allow_nan=False) + "\n"),
        (args.csv, lambda: report.to_csv(records)),
        (args.markdown, lambda: report.markdown(records)),
        (args.report, lambda: page(records, here, galleries)),
    )
    for note in notes(records):
        log.info(note)
    layers = report.details(records)
    table = "\n".join([report.table(records), *report.verdicts(records), *(("", layers) if layers else ())])
    terminal.show(table, *(path for path, _ in forms))
    for path, text in forms:
        if path:
            write_bytes(path, text().encode(errors="backslashreplace"))  # a file's name need not be UTF-8


if __name__ == "__main__":
    sys.exit(main())
