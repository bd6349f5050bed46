"""Which convolutions go to int8, in which forms of the graph, for which target: what docs/int8.md measures.

    most     the dense convolutions between the image and the classifier: 93.8 % of CGNet's multiply-adds
    all      every convolution
    stored   every convolution, and all that is stored between them: the residual trunk too

The image's, the depthwise and the classifier's convolutions cost a third of the accuracy that int8 costs and hold
6 % of the work; a runtime gains nothing by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx_ir as ir

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import Scope, TargetName
from cgnet_deploy.export.fuse import gate_conv, output_write, prelu_affine, resize_matmul, stem_rows
from cgnet_deploy.export.fuse.rules import FORMS, IMAGE, SETTLE, Rules
from cgnet_deploy.export.quantize import Role, Site, Storage, sites
from cgnet_deploy.spec import Precision

ROLES: dict[Scope, frozenset[Role]] = {
    "most": frozenset({"dense"}),
    "all": frozenset({"image", "depthwise", "dense", "classifier"}),
    "stored": frozenset({"image", "depthwise", "dense", "classifier"}),
}

# Forms that int8 graphs do without: integers can't hold the sums of stem_rows, and a replay (replay.py) ends with the
# resize and takes gates as products.
FLOAT_ONLY = (output_write.RULE, gate_conv.RULE, stem_rows.RULE)


@dataclass(frozen=True, slots=True)
class Placement:
    """forms: the rules that make the graph. storage: of activations. rest: the type of what is not int8.

    results: whether a convolution's raw result gets a pair too.
    """

    forms: Rules
    storage: Storage
    rest: Precision
    results: bool = False


PLACEMENTS: dict[TargetName, Placement] = {
    "generic": Placement(FORMS["generic"], "s8", Precision.F32),
    "ort-cpu": Placement(
        tuple(rule for rule in FORMS["ort-cpu"] if rule not in FLOAT_ONLY), "u8", Precision.F32, results=True
    ),
    "openvino": Placement((*SETTLE, *IMAGE, prelu_affine.RULE, resize_matmul.RULE), "s8", Precision.F32),
    "tensorrt": Placement(FORMS["tensorrt"], "s8", Precision.F16),
}


def chosen(model: ir.Model, scope: Scope, exclude: str | None = None) -> tuple[Site, ...]:
    """The convolutions of a fused graph that int8 takes. exclude: a regular expression, searched in their names.

    Raises UsageError if none is left, or if `exclude` names none.
    """
    candidates = [site for site in sites(model) if site.role in ROLES[scope]]
    if exclude is None:
        return tuple(candidates)
    kept = tuple(site for site in candidates if not re.search(exclude, site.name))
    if len(kept) in (0, len(candidates)):
        names = ", ".join(site.name for site in candidates[:3])
        what = "no convolution is left" if not kept else "that is in no convolution's name"
        raise UsageError(f"--exclude {exclude}: {what}; there are {len(candidates)}, such as {names}")
    return kept
