"""`cgnet-convert --ckpt IN --to cgnet|official|mmseg OUT`: the same weights under other names.

Every tensor passes unchanged, from any format to any other; what the wanted format has no place for (a
classifier's bias in the official one) is an error. Only our own format also stores the input contract.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.checkpoint.keys import FORMATS, Format
from cgnet_deploy.contracts import CONTRACTS, contract_name, known_as
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.terminal import Parser, run, triple_argument

log = logging.getLogger(__name__)

PROG = "cgnet-convert"


def main(argv: Sequence[str] | None = None) -> int:
    return run(_parser(), _main, argv)


def _main(args: argparse.Namespace) -> int:
    if args.out.exists() and args.ckpt.exists() and args.out.samefile(args.ckpt):
        raise UsageError(f"{args.out} is the checkpoint itself; give the output another name")
    require("torch", extra="export")
    sha256 = _to_cgnet(args) if args.to == "cgnet" else _to_published(args)
    print(f"{args.out}  {args.to}  sha256 {sha256}")
    return 0


def _parser() -> Parser:
    parser = Parser(PROG, "Convert a CGNet checkpoint to another format, losslessly or not at all.")
    parser.add_argument("out", metavar="OUT", type=Path, help="the file to write")
    parser.add_argument("--ckpt", metavar="IN", type=Path, required=True, help="a checkpoint of any of the formats")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format to write")
    contract = parser.add_argument_group("input contract, stored with --to cgnet only")
    contract.add_argument("--contract", choices=CONTRACTS, help="default: what IN says, else by format and class count")
    contract.add_argument(
        "--mean", type=triple_argument, metavar="A,B,C", help="in --color order, in grey levels (0 to 255)"
    )
    contract.add_argument(
        "--std", type=triple_argument, metavar="A,B,C", help="in --color order, in grey levels (0 to 255)"
    )
    contract.add_argument("--color", choices=("rgb", "bgr"), help="the channel order that the network was trained on")
    return parser


def _to_cgnet(args: argparse.Namespace) -> str:
    from cgnet_deploy.checkpoint.reading import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(args.ckpt, contract=args.contract, mean=args.mean, std=args.std, color=args.color)
    source = {"source": checkpoint.path.name, "source_format": checkpoint.format, "source_sha256": checkpoint.sha256}
    return save_checkpoint(args.out, checkpoint.model, checkpoint.spec, {**checkpoint.provenance, **source})


def _to_published(args: argparse.Namespace) -> str:
    if any(flag is not None for flag in (args.contract, args.mean, args.std, args.color)):
        raise UsageError(f"the {args.to} format can't store an input contract; use --to cgnet")
    from cgnet_deploy.checkpoint.reading import read_network, save_mmseg, save_official

    network = read_network(args.ckpt)
    if network.spec is not None:
        _warn_of_lost_contract(network.spec, args.to)
    save = save_official if args.to == "official" else save_mmseg
    return save(args.out, network.model, network.provenance)


def _warn_of_lost_contract(spec: ModelSpec, to: Format) -> None:
    """Say so if a reader of the new file would feed it otherwise than `spec` says."""
    held = known_as(spec.input)
    try:
        inferred = contract_name(to, spec.classes)
    except UsageError:
        inferred = "no contract"
    if inferred != held:
        log.info(f"note: the {to} format has no place for the input contract {held}; its readers will take {inferred}")
