"""The runtimes that a graph can be made for, and how much of it int8 takes: see fuse/rules.py and placement.py."""

from __future__ import annotations

from typing import Literal, get_args

Target = Literal["generic", "ort-cpu", "openvino", "tensorrt"]
TARGETS: tuple[Target, ...] = get_args(Target)

Scope = Literal["most", "all", "stored"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
