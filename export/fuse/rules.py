"""Which rules make the graph for which target, in the order in which they are applied."""

from __future__ import annotations

from typing import Any

from cgnet_deploy.export.fuse import batchnorm_conv, batchnorm_depthwise, batchnorm_join
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.targets import Target

BATCHNORM: tuple[Rule[Any], ...] = (batchnorm_conv.RULE, batchnorm_depthwise.RULE, batchnorm_join.RULE)

RULES: dict[Target, tuple[Rule[Any], ...]] = {
    "generic": BATCHNORM,
}
