"""The fusion rules in the order in which they are applied. A new rule is its own file and one entry here.

    FOLD    for every target: fewer nodes, the same forms
    prune   dead channels, with --prune-dead (../prune.py)
    GENERIC, ORT_CPU, OPENVINO, NATIVE: what is fastest where (../targets.py); bench/tools/cpu.py measures it again

ONNX Runtime's CPU kernels keep a blocked layout through Conv, Relu, equal-shape Add and Mul, and concats of full
blocks; everything else reorders each pixel twice, so little else is left but live gates, as convolutions that take the
trunk's sum. (A gate enlarged to a map stays blocked, but one thread makes it: where two cores lie far apart that costs
up to 20 %.) OpenVINO fuses elementwise chains into convolutions, PReLU excepted. TensorRT fuses pointwise operators of
any form, so it gets the generic graph; that has not been measured on a GPU yet.
"""

from __future__ import annotations

from typing import Any

from cgnet_deploy.export.fuse import (
    affine_conv,
    batchnorm_conv,
    batchnorm_depthwise,
    batchnorm_join,
    channel_order,
    concat_conv,
    concat_flat,
    concat_ragged,
    concat_sink,
    gate_constant,
    gate_conv,
    gate_pointwise,
    output_write,
    pool_conv,
    pool_shared,
    prelu,
    resize_matmul,
    resize_scales,
    scale_fold,
    shift_fold,
    split_source,
    stem_rows,
)
from cgnet_deploy.export.fuse.rule import Rule

Rules = tuple[Rule[Any], ...]

FOLD: Rules = (batchnorm_conv.RULE, batchnorm_depthwise.RULE, batchnorm_join.RULE, gate_constant.RULE, scale_fold.RULE)

# Where a pruned graph left a factor or a shift behind a convolution that picks channels.
SETTLE: Rules = (scale_fold.RULE, shift_fold.RULE)

# The image: pooled once, its pool and its channel order in the kernels.
IMAGE: Rules = (pool_shared.RULE, pool_conv.RULE, channel_order.ORDER, channel_order.FACTOR)

# Concats sink until they meet the trunk; its source is split, and they sink on.
HALVES: Rules = (concat_sink.RULE, split_source.RULE, concat_sink.RULE, concat_flat.RULE, concat_conv.RULE)

GENERIC: Rules = (*SETTLE, *IMAGE, gate_pointwise.RULE, prelu.MAX, prelu.AFFINE, resize_scales.RULE)

ORT_CPU: Rules = (
    *SETTLE,
    *IMAGE,
    gate_conv.RULE,
    *HALVES,
    affine_conv.RULE,
    prelu.BLOCKED,
    prelu.AFFINE,
    stem_rows.RULE,
    resize_matmul.RULE,
    output_write.RULE,
)

# Our own engine reads the network's structure, and fuses what it knows it by.
NATIVE: Rules = SETTLE

OPENVINO: Rules = (*SETTLE, *IMAGE, concat_ragged.SINK, concat_ragged.CONV, prelu.AFFINE, resize_matmul.RULE)
