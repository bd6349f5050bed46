"""No assert guards anything at run time: python -O removes them all."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def with_asserts() -> set[str]:
    modules = [path for name in ("cgnet_deploy", "export", "engines", "bench") for path in (ROOT / name).rglob("*.py")]
    assert len(modules) > 200
    return {
        str(path.relative_to(ROOT))
        for path in modules
        if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    }


def test_no_module_of_the_package_asserts() -> None:
    assert with_asserts() == set()
