"""cgnet-convert: a checkpoint in another format; see convert.py.

cgnet-convert --ckpt IN --to cgnet|official|mmseg OUT
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.checkpoint.keys import FORMATS
from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.errors import require
from cgnet_deploy.terminal import WEIGHTS, Parser, add_contract_flags, res_argument, run, show


def main(argv: Sequence[str] | None = None) -> int:
    return run(_parser(), _convert, argv)


def _convert(args: argparse.Namespace) -> int:
    require("torch", extra="export")
    from cgnet_deploy.checkpoint.convert import convert

    sha256 = convert(
        args.ckpt,
        args.out,
        args.to,
        contract=args.contract,
        names=args.names,
        mean=args.mean,
        std=args.std,
        color=args.color,
        res=args.res,
        weights=args.weights,
    )
    show(f"{args.out}  {args.to}  sha256 {sha256}", args.out)
    return 0


def _parser() -> Parser:
    parser = Parser("cgnet-convert", "Convert a CGNet checkpoint to another format without any loss.")
    parser.add_argument("out", metavar="OUT", type=Path, help="the file to write")
    parser.add_argument("--ckpt", metavar="IN", type=Path, required=True, help="a checkpoint in any of the formats")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format to write")
    parser.add_argument("--weights", metavar="SET", help=WEIGHTS)
    contract = parser.add_argument_group("classes and input contract, stored with --to cgnet and --to mmseg")
    contract.add_argument(
        "--contract", choices=CONTRACTS, help="default: IN's own, else inferred from format and class count"
    )
    contract.add_argument("--res", type=res_argument, metavar="HxW", help="height x width, where nothing else says it")
    add_contract_flags(contract)
    return parser


if __name__ == "__main__":
    sys.exit(main())
