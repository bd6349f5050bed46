"""The flags that say of an engine what its file doesn't, or leaves open; `open_engine` has an argument for each."""

from __future__ import annotations

import argparse

from cgnet_deploy.terminal import WEIGHTS, Parser, add_contract_flags


def add_flags(parser: Parser, *, cache: bool) -> None:
    """cache: whether the command starts from what is kept, unless it is told."""
    parser.add_argument("--weights", metavar="SET", help=WEIGHTS)
    parser.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        default=cache,
        help="start OpenVINO, ONNX Runtime and ort-rtx with what an earlier start compiled, and keep it in "
        f"~/.cache/cgnet-deploy (default: {'yes' if cache else 'no, each start is cold'})",
    )
    group = parser.add_argument_group("files of other exporters: what the file itself doesn't say")
    add = group.add_argument
    add("--contract", metavar="NAME", help="input contract of an engine that has none of its own: camvid-official, ...")
    add_contract_flags(group)
    add(
        "--trust",
        action="store_true",
        help="load a plan without a sidecar, such as trtexec's; a plan is executable code, so know who built it",
    )
