from __future__ import annotations

from typing import Any

import pytest

from cgnet_deploy.bench.tools.audit import findings

CLEAN = {"name": "numpy", "version": "2.4.0", "vulns": []}
FAULTY = {"name": "onnx", "version": "1.20", "vulns": [{"id": "CVE-2026-27489", "fix_versions": ["1.21"]}]}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found on PyPI and could not be audited: rich (15.0.0)"}
OURS = {"name": "cgnet-deploy", "skip_reason": "distribution marked as editable"}
TORCH = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0+cpu)"}


@pytest.mark.parametrize(
    ("packages", "wanted"),
    [
        ([CLEAN, OURS, TORCH], []),
        ([CLEAN, FAULTY], ["onnx 1.20: CVE-2026-27489, mended in 1.21"]),
        ([UNKNOWN, UNKNOWN, CLEAN], ["2 of 3 packages could not be looked up, such as rich"]),
    ],
)
def test_what_is_known_and_what_nobody_could_tell(packages: list[dict[str, Any]], wanted: list[str]) -> None:
    assert findings({"dependencies": packages, "fixes": []}) == wanted
