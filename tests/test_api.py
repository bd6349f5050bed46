"""The public API: its names, how light its import is, and that a program which embeds it is never printed at."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cgnet_deploy
from cgnet_deploy import errors

ROOT = Path(__file__).resolve().parents[1]

EXPORTED = [
    "AccuracyError",
    "Artifact",
    "ArtifactError",
    "BuiltPlan",
    "CgnetError",
    "Checkpoint",
    "CheckpointError",
    "Confusion",
    "DataError",
    "Engine",
    "EngineUnavailable",
    "Exported",
    "FrameError",
    "InputSpec",
    "Labelled",
    "MissingPackage",
    "ModelSpec",
    "NoSpace",
    "Nv12",
    "PerformanceError",
    "Precision",
    "Record",
    "Res",
    "Segmenter",
    "ShapeRange",
    "Target",
    "Tuned",
    "UsageError",
    "UserError",
    "benchmark",
    "build_plan",
    "evaluate",
    "export",
    "label_archive",
    "load_checkpoint",
    "open_engine",
    "overlay",
    "tune",
]


def test_the_exported_names_are_these_and_no_others() -> None:
    assert cgnet_deploy.__all__ == EXPORTED
    assert set(EXPORTED) <= set(dir(cgnet_deploy))


@pytest.mark.parametrize("name", EXPORTED)
def test_a_name_resolves_and_has_a_docstring(name: str) -> None:
    value = getattr(cgnet_deploy, name)
    assert callable(value)
    assert inspect.getdoc(value)


def test_what_type_checkers_see_is_what_is_imported() -> None:
    tree = ast.parse(Path(cgnet_deploy.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.name: str(node.module).removeprefix("cgnet_deploy.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == cgnet_deploy._MODULE_OF
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert sorted({*seen, *raised}) == EXPORTED


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'segment'"):
        cgnet_deploy.segment  # noqa: B018


def python(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=True)


def test_importing_the_package_imports_no_other_package() -> None:
    code = "import sys; before = set(sys.modules); import cgnet_deploy; print(*(set(sys.modules) - before))"
    packages = {name.partition(".")[0] for name in python(code).stdout.split()}
    assert packages - set(sys.stdlib_module_names) == {"cgnet_deploy"}


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text('raise ModuleNotFoundError("No module named torch")', encoding="utf-8")
    code = """
import cgnet_deploy
try:
    cgnet_deploy.load_checkpoint
except cgnet_deploy.MissingPackage as error:
    print(error)
"""
    assert python(code, tmp_path).stdout.endswith("pip install 'cgnet-deploy[export]'\n")


def test_export_is_the_function_even_where_the_subpackage_was_imported_first() -> None:
    code = """
import inspect
from cgnet_deploy.export.graph import weights
import cgnet_deploy as cg
import cgnet_deploy.export.api as api
assert cg.export is cg.export
assert inspect.signature(cg.export) == inspect.signature(api.export)
assert inspect.getdoc(cg.export) == inspect.getdoc(api.export)
"""
    assert python(code).stderr == ""


EMBEDDING = """
import cgnet_deploy as cg

exported = cg.export({checkpoint!r}, "cgnet.onnx", res="64x96")
assert exported.artifact.path.is_file()
checkpoint = cg.load_checkpoint({checkpoint!r}, contract="camvid-official")
with cg.Segmenter("cgnet.onnx", threads=1) as segmenter:
    import numpy as np

    frame = np.full((48, 80, 3), 127, np.uint8)
    labels = segmenter.segment(frame)
    assert labels.shape == (48, 80)
    assert cg.overlay(frame, labels, segmenter.info.spec).shape == frame.shape
(record,) = cg.benchmark({checkpoint!r}, res="64x96", duration_s=0, iterations=10, contract="camvid-official")
assert record.latency_ms.p50 > 0
assert 0 < cg.evaluate("cgnet.onnx", "scenes", limit=2).miou < 1
"""


def test_an_embedding_program_sees_no_output(tmp_path: Path) -> None:
    checkpoint = ROOT / "cgnet_deploy" / "weights" / "scenes.pth"
    ran = python(EMBEDDING.format(checkpoint=str(checkpoint)), tmp_path)
    assert (ran.stdout, ran.stderr) == ("", "")
