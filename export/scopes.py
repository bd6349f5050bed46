"""Which convolutions int8 takes: what docs/int8.md measures.

    most     the dense convolutions between the image and the classifier: 93.8 % of CGNet's multiply-adds
    all      every convolution
    stored   every convolution, and all that is stored between them: the residual trunk too

The image's, the depthwise and the classifier's convolutions cost a third of the accuracy that int8 costs and hold
6 % of the work; a runtime gains nothing by them.
"""

from __future__ import annotations

import re

import onnx_ir as ir

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import Scope
from cgnet_deploy.export.quantize import Role, Site, sites

ROLES: dict[Scope, frozenset[Role]] = {
    "most": frozenset({"dense"}),
    "all": frozenset({"image", "depthwise", "dense", "classifier"}),
    "stored": frozenset({"image", "depthwise", "dense", "classifier"}),
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
        what = "no convolution is left" if not kept else "it matches no convolution's name"
        raise UsageError(f"--exclude {exclude}: {what}; there are {len(candidates)}, such as {names}")
    return kept
