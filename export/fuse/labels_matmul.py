"""The resize before an argmax as two matrix products, R_H (s R_W^T): any fixed sizes.

OpenVINO spends four times as long on Resize followed by ArgMax.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.labels import Labels, interpolation, labels, why_not_linear
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import constant, insert, replace


def rewrite(match: Labels) -> None:
    assert match.small is not None
    assert match.large is not None
    node = match.argmax
    rows, columns = (interpolation(*sizes).astype(np.float32) for sizes in zip(match.small, match.large, strict=True))
    wide = insert(node, "MatMul", [match.scores, constant(node, columns.T, "labels.columns")])
    full = insert(node, "MatMul", [constant(node, rows, "labels.rows"), wide])
    full.type = match.scores.type
    replace(match.resize.outputs[0], full)


RULE = Rule("labels-matmul", labels, why_not_linear, rewrite)
