"""The guards of the layout bite: each kind of import that design and linters forbid is made here, and caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cgnet_deploy", "export", "engines", "bench")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's modules and the linters' configuration, to spoil."""
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(folder: Path, *command: str) -> tuple[int, str]:
    tool = Path(sys.executable).with_name(command[0])
    run = subprocess.run([tool, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout


@pytest.mark.parametrize(
    ("module", "imports", "contract"),
    [
        ("cgnet_deploy/spec.py", "cgnet_deploy.pixels", "imports run downward only"),
        ("cgnet_deploy/data/camvid.py", "cgnet_deploy.checkpoint", "imports run downward only"),
        ("export/verify.py", "cgnet_deploy.bench.report.record", "imports run downward only"),
        ("cgnet_deploy/video/job.py", "cgnet_deploy.train.recipes", "imports run downward only"),
        ("cgnet_deploy/stray.py", "cgnet_deploy.errors", "imports run downward only"),
        ("engines/ort.py", "torch", "torch only where"),
        ("engines/torch.py", "triton", "Triton only where"),
        ("engines/ort.py", "onnx_ir", "graphs are rewritten in export only"),
        ("engines/trt.py", "tensorrt", "runtimes are optional"),
        ("cgnet_deploy/video/sound.py", "av", "runtimes are optional"),
        ("cgnet_deploy/data/images.py", "onnxruntime", "runtimes are optional"),
    ],
)
def test_an_import_that_breaks_the_layers_is_caught(copy: Path, module: str, imports: str, contract: str) -> None:
    with (copy / module).open("a", encoding="utf-8") as file:
        file.write(f"\nimport {imports}\n")
    code, output = lint(copy, "lint-imports", "--no-cache")
    assert code == 1, output
    broken = [line for line in output.splitlines() if " BROKEN" in line]
    assert len(broken) == 1
    assert broken[0].startswith(contract)


@pytest.mark.parametrize("name", ["bench", "engines", "export"])
@pytest.mark.parametrize("statement", ["import {name}", "from {name} import cli", "import {name}.cli"])
def test_a_part_is_imported_under_its_full_name_only(copy: Path, name: str, statement: str) -> None:
    (copy / "wrong.py").write_text(statement.format(name=name) + "\n", encoding="utf-8")
    code, output = lint(copy, "ruff", "check", "--no-cache", "--select", "TID", "wrong.py")
    assert code == 1
    assert f"import it as cgnet_deploy.{name}" in output


def test_a_relative_import_is_caught(copy: Path) -> None:
    (copy / "export" / "wrong.py").write_text("from .cli import main\n", encoding="utf-8")
    code, output = lint(copy, "ruff", "check", "--no-cache", "--select", "TID", "export")
    assert code == 1
    assert "TID252" in output
