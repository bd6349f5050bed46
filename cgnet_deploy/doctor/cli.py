"""cgnet-doctor: what this machine can run; what is in a data set; which input contract a checkpoint was trained with.

cgnet-doctor
cgnet-doctor --data own --write own.yaml --sheet own.png
cgnet-doctor --ckpt model.pth --data camvid
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.errors import AccuracyError, DataError, EngineUnavailable, UsageError
from cgnet_deploy.files import write_bytes, write_json
from cgnet_deploy.places import check_name, check_writable
from cgnet_deploy.terminal import WEIGHTS, Parser, integer, res_argument, run, show

MAX_FRAMES = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 2 usage or bad input, 3 the default contract is not the right one, or none is right,
    5 nothing can run here.
    """
    return run(parser(), _main, argv)


def parser() -> Parser:
    parser = Parser(
        "cgnet-doctor",
        "Show what this machine can run, what is in a data set, or which input contract a checkpoint was trained with.",
    )
    parser.add_argument("--ckpt", type=Path, metavar="FILE", help="a checkpoint to try input contracts on")
    parser.add_argument("--weights", metavar="SET", help=WEIGHTS)
    parser.add_argument("--data", metavar="DIR", help=f"the data set to look at, or to try contracts on: {WHAT}")
    parser.add_argument("--write", type=Path, metavar="FILE.yaml", help="write a description of --data, to start from")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw pictures of --data with their labels")
    parser.add_argument("--split", default="val", help="part of --data (default: val)")
    parser.add_argument(
        "--frames",
        type=integer(1, MAX_FRAMES),
        default=8,
        metavar="N",
        help="frames to use, from all over the split (default: %(default)s); more tell closer contracts apart",
    )
    parser.add_argument("--res", type=res_argument, metavar="HxW", help="size to run at (default: the contract's)")
    parser.add_argument("--threads", type=integer(1, 1024), metavar="N", help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings as JSON too")
    return parser


def _main(args: argparse.Namespace) -> int:
    if args.ckpt and args.data is None:
        raise UsageError("--ckpt needs --data: contracts are tried on labelled frames")
    if args.weights and not args.ckpt:
        raise UsageError("--weights goes with --ckpt: it says which of its sets of weights is meant")
    if (args.write or args.sheet) and (args.ckpt or args.data is None):
        raise UsageError("--write and --sheet go with --data alone: they show a data set")
    for path in filter(None, (args.json, args.write, args.sheet)):
        check_writable(path)
    if args.ckpt:
        return _contract(args)
    return _data(args) if args.data is not None else _machine(args)


def _machine(args: argparse.Namespace) -> int:
    from cgnet_deploy.doctor.machine import examine

    machine = examine()
    show(machine.text(), args.json)
    if args.json:
        write_json(args.json, machine.to_json())
    if not machine.runs_anything:
        raise EngineUnavailable("no engine of any kind can run here: see what to install above")
    return 0


def _data(args: argparse.Namespace) -> int:
    from cgnet_deploy.doctor.data_report import text, to_json
    from cgnet_deploy.doctor.describe import check_describable, describe
    from cgnet_deploy.doctor.sheet import sheet
    from cgnet_deploy.doctor.survey import survey_data

    if args.write:
        check_name(args.data)
        check_describable(args.data)
    survey = survey_data(args.data)
    show(text(survey), args.json, args.write, args.sheet)
    # a description is what gives names to classes that have none
    errors = [
        one.text for one in survey.problems if one.error and not (args.write and one.text == survey.names_missing)
    ]
    if errors:
        raise DataError(errors[0])
    written = describe(survey, args.write).encode() if args.write else b""
    if args.sheet:
        write_bytes(args.sheet, sheet(survey))
    if args.write:
        write_bytes(args.write, written)
    if args.json:
        write_json(args.json, to_json(survey))
    return 0


def _contract(args: argparse.Namespace) -> int:
    from cgnet_deploy.doctor.contract import diagnose
    from cgnet_deploy.doctor.report import table, to_json, verdict

    diagnosis = diagnose(args.ckpt, args.data, args.split, args.frames, args.res, args.threads, args.weights)
    search = diagnosis.search
    show(
        f"{args.ckpt}: {diagnosis.network}; {len(search.scores)} contracts on {diagnosis.frames} frames of {args.data}",
        args.json,
    )
    show(f"\n{table(diagnosis)}\n", args.json)
    if args.json:
        write_json(args.json, to_json(diagnosis))
    if search.hopeless:
        raise AccuracyError(
            f"no contract fits: the best reaches {100 * search.best.miou:.2f} % mIoU; was it trained on these "
            "classes, in this order?"
        )
    show(verdict(diagnosis), args.json)
    if diagnosis.own is not None and not diagnosis.own_is_right:
        raise AccuracyError(
            f"the contract that commands use for {args.ckpt} by default is not the right one: pass {diagnosis.flags}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
