"""The guards of the layout bite: each kind of import that design and linters forbid is made here, and caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cgnet_deploy", "export", "engines", "bench")

LAYERS = "imports run downward only"
# Module, what it must not import, and the contract that says so.
FORBIDDEN = (
    ("cgnet_deploy.spec", "cgnet_deploy.pixels", LAYERS),
    ("cgnet_deploy.data.camvid", "cgnet_deploy.checkpoint.keys", LAYERS),
    ("cgnet_deploy.export.verify", "cgnet_deploy.bench.report.record", LAYERS),
    ("cgnet_deploy.video.job", "cgnet_deploy.train.recipes", LAYERS),
    ("cgnet_deploy.engines.ort", "torch", "torch only where"),
    ("cgnet_deploy.engines.torch", "triton", "Triton only where"),
    ("cgnet_deploy.engines.openvino", "onnx_ir", "graphs are rewritten in export only"),
    ("cgnet_deploy.engines.trt", "tensorrt", "runtimes are optional"),
    ("cgnet_deploy.video.sound", "av", "runtimes are optional"),
    ("cgnet_deploy.data.images", "onnxruntime", "runtimes are optional"),
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's modules and the linters' configuration, to spoil."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def lint(folder: Path, *command: str) -> str:
    tool = Path(sys.executable).with_name(command[0])
    run = subprocess.run([tool, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def broken(copy: Path) -> dict[str, str]:
    """What is said of each contract that was broken, all imports at once."""
    for module, imports, _ in FORBIDDEN:
        with (copy / f"{module.replace('.', '/')}.py").open("a", encoding="utf-8") as file:
            file.write(f"\nimport {imports}\n")
    report = lint(copy, "lint-imports", "--no-cache").partition("Broken contracts")[2]
    starts = {contract: report.index(f"\n{contract}") for _, _, contract in FORBIDDEN}
    ends = [*sorted(starts.values())[1:], len(report)]
    return {contract: report[start : min(end for end in ends if end > start)] for contract, start in starts.items()}


@pytest.mark.parametrize(("module", "imports", "contract"), FORBIDDEN)
def test_an_import_that_breaks_the_layers_is_caught(
    broken: dict[str, str], module: str, imports: str, contract: str
) -> None:
    assert f"{module} -> {imports}" in broken[contract]


def test_a_module_without_a_layer_is_caught(copy: Path) -> None:
    (stray := copy / "cgnet_deploy" / "stray.py").write_text("", encoding="utf-8")
    assert "stray" in lint(copy, "lint-imports", "--no-cache")
    stray.unlink()


@pytest.fixture(scope="module")
def banned(copy: Path) -> str:
    """What ruff says of modules with one forbidden import each."""
    folder = copy / "wrong"
    folder.mkdir()
    for name in ("bench", "engines", "export"):
        for i, statement in enumerate((f"import {name}", f"from {name} import cli", f"import {name}.cli")):
            (folder / f"{name}{i}.py").write_text(statement + "\n", encoding="utf-8")
    (folder / "relative.py").write_text("from .cli import main\n", encoding="utf-8")
    return lint(copy, "ruff", "check", "--no-cache", "--select", "TID", "--output-format", "concise", "wrong")


@pytest.mark.parametrize("statement", [0, 1, 2])
@pytest.mark.parametrize("name", ["bench", "engines", "export"])
def test_a_part_is_imported_under_its_full_name_only(banned: str, name: str, statement: int) -> None:
    (line,) = (line for line in banned.splitlines() if line.startswith(f"wrong/{name}{statement}.py"))
    assert f"import it as cgnet_deploy.{name}" in line


def test_a_relative_import_is_caught(banned: str) -> None:
    (line,) = (line for line in banned.splitlines() if line.startswith("wrong/relative.py"))
    assert "TID252" in line
