"""The runtimes that a graph can be made for. What that means is in fuse/rules.py."""

from __future__ import annotations

from typing import Literal, get_args

Target = Literal["generic", "ort-cpu", "openvino", "tensorrt"]
TARGETS: tuple[Target, ...] = get_args(Target)
