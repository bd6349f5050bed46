"""The words that options of an export take. Imports nothing heavy, so that a command's help is quick."""

from __future__ import annotations

from typing import Literal, get_args

TargetName = Literal["generic", "ort-cpu", "openvino", "tensorrt", "native"]  # of targets.TARGETS
TARGET_NAMES: tuple[TargetName, ...] = get_args(TargetName)

OPSETS = range(13, 21)  # of a file: from the first that has a scale a channel to that of trace.py
F16_SCALES = 19  # the first whose int8 may have f16 around it
OPSET = 17  # what ONNX Runtime 1.15 and OpenCV 4.5.5 read

Dynamic = Literal["none", "batch", "size", "both"]  # what the file leaves open
DYNAMIC: tuple[Dynamic, ...] = get_args(Dynamic)

Method = Literal["mse", "percentile", "max", "entropy"]  # how ranges are chosen: ranges.py
METHODS: tuple[Method, ...] = get_args(Method)

Scope = Literal["most", "all", "stored"]  # what int8 takes: sites.py
SCOPES: tuple[Scope, ...] = get_args(Scope)

BuilderName = Literal["auto", "tensorrt", "rtx"]  # who builds a plan: engines/builders.py
BUILDERS: tuple[BuilderName, ...] = get_args(BuilderName)
LEVELS = range(6)  # of TensorRT's builder, which knows no higher one
