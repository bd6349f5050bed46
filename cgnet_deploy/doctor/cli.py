"""cgnet-doctor: what this machine can run; and which input contract a checkpoint was trained with.

cgnet-doctor
cgnet-doctor --ckpt model.pth --data camvid
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgnet_deploy import __version__
from cgnet_deploy.bench.machine.environment import FLAGS, cpu_flags, cpu_name
from cgnet_deploy.data.formats import WHAT
from cgnet_deploy.doctor.packages import NAME, Extra, extras
from cgnet_deploy.errors import AccuracyError, EngineUnavailable, UsageError
from cgnet_deploy.files import check_writable, write_json
from cgnet_deploy.spec import InputSpec
from cgnet_deploy.tables import text_table
from cgnet_deploy.terminal import Parser, integer, res_argument, run
from cgnet_deploy.threads import cores

if TYPE_CHECKING:
    from cgnet_deploy.doctor.contract import Diagnosis

log = logging.getLogger(__name__)

PROG = "cgnet-doctor"
MAX_FRAMES = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 2 usage or bad input, 3 another contract is right than commands take, or none is,
    5 nothing can run here.
    """
    return run(parser(), _main, argv)


def parser() -> Parser:
    parser = Parser(PROG, "Say what this machine can run, or which input contract a checkpoint was trained with.")
    parser.add_argument("--ckpt", type=Path, metavar="FILE", help="a checkpoint to try input contracts on")
    parser.add_argument("--data", metavar="DIR", help=f"labelled frames of what it was trained for: {WHAT}")
    parser.add_argument("--split", default="val", help="part of --data (default: val)")
    parser.add_argument(
        "--frames",
        type=integer(1, MAX_FRAMES),
        default=8,
        metavar="N",
        help="from all over the split (default: %(default)s); more tell closer contracts apart",
    )
    parser.add_argument("--res", type=res_argument, metavar="HxW", help="size to run at (default: the contract's)")
    parser.add_argument("--threads", type=integer(1, 1024), metavar="N", help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings as JSON too")
    return parser


def _main(args: argparse.Namespace) -> int:
    if (args.ckpt is None) != (args.data is None):
        raise UsageError("--ckpt and --data go together: one is tried on the other")
    if args.json:
        check_writable(args.json)
    return _machine(args) if args.ckpt is None else _contract(args)


def _machine(args: argparse.Namespace) -> int:
    from cgnet_deploy.doctor.probe import PROBES, RUNNING, probe

    log.info("asking each runtime, in a process of its own")
    findings = {name: probe(name) for name in PROBES}
    features = [flag for flag in FLAGS if flag in cpu_flags()]
    print(f"{NAME} {__version__}; {cpu_name()}, {cores()} cores; {' '.join(features)}\n")
    lines = [("yes" if one.can else "no", one.part, one.found, one.todo) for one in findings.values()]
    print(text_table(("", "what", "found", "to do"), lines))
    groups = extras()
    if groups:
        print("\n" + text_table(("", "extra", "installed", "to do"), map(_extra, groups)))
    else:
        log.info(f"{NAME} is not installed (a bare checkout?), so its extras can't be told")
    write(
        args.json,
        {
            "schema": 1,
            "engines": {name: asdict(one) for name, one in findings.items()},
            "extras": [asdict(one) for one in groups],
        },
    )
    if not any(findings[name].can for name in RUNNING):
        raise EngineUnavailable("no engine of any kind can run here: see what to install above")
    return 0


def _extra(one: Extra) -> tuple[str, ...]:
    lacking = ", ".join(one.lacking)
    todo = f"pip install '{NAME}[{one.name}]': {lacking}" if lacking else ""
    return ("no" if lacking else "yes", one.name, ", ".join(one.here), todo)


def _contract(args: argparse.Namespace) -> int:
    from cgnet_deploy.doctor.contract import diagnose

    found = diagnose(args.ckpt, args.data, args.split, args.frames, args.res, args.threads)
    lines = []
    for place, one in enumerate(found.trial.tried):
        worse = "-" if one.worse is None else f"{100 * one.worse[0]:.2f} to {100 * one.worse[1]:.2f}"
        if place < found.trial.alike:
            worse = "best" if place == 0 else f"{worse}  not told apart"
        spec = one.candidate.spec
        lines.append(
            (
                f"{100 * one.miou:.2f}",
                worse,
                str(len(one.frames)),
                spec.color.upper(),
                numbers(spec.mean),
                numbers(spec.std),
                one.candidate.origin,
            )
        )
    print(
        f"{found.path}: {found.network}; {len(found.trial.tried)} contracts on {found.frames} frames of {args.data}\n"
    )
    print(text_table(("mIoU %", "below the best", "frames", "colours", "mean", "std", "from"), lines) + "\n")
    write(args.json, to_json(found))
    if found.trial.hopeless:
        raise AccuracyError(
            f"no contract fits: the best reaches {100 * found.trial.best.miou:.2f} % mIoU; was it trained on these "
            "classes, in this order?"
        )
    print(*verdict(found), sep="\n")
    if found.own is not None and not found.own_is_right:
        raise AccuracyError(
            f"the contract that commands take for {found.path} is not the right one: pass {found.flags}"
        )
    return 0


def verdict(found: Diagnosis) -> list[str]:
    """What to do, in a few lines."""
    lines = [f"trained with: {spelled(found.named.spec)}"]
    others = [one.candidate for one in found.trial.tried[: found.trial.alike] if one.candidate is not found.named]
    if others:
        lines.append(
            f"{found.frames} frames can't tell it apart from {len(others)} other{'s' * (len(others) > 1)}: "
            + "; ".join(spelled(other.spec) for other in others)
        )
    if found.own_is_right:
        lines.append("cgnet-export takes that by itself for this file: no flag is needed")
    else:
        lines.append(f"cgnet-export --ckpt {found.path} {found.flags}")
    return lines


def spelled(spec: InputSpec) -> str:
    std = "" if set(spec.std) == {1.0} else f", divided by {numbers(spec.std)}"
    return f"{spec.color.upper()} minus {numbers(spec.mean)}{std}"


def numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def to_json(found: Diagnosis) -> dict[str, Any]:
    return {
        "schema": 1,
        "ckpt": str(found.path),
        "frames": found.frames,
        "named": asdict(found.named.spec),
        "flags": found.flags,
        "own_is_right": found.own_is_right,
        "candidates": [
            {
                "origin": one.candidate.origin,
                "contract": asdict(one.candidate.spec),
                "miou": one.miou,
                "frames": len(one.frames),
                "below_best": one.worse,
                "told_apart": place >= found.trial.alike,
            }
            for place, one in enumerate(found.trial.tried)
        ],
    }


def write(path: Path | None, data: dict[str, Any]) -> None:
    if path:
        write_json(path, data)
