"""What a user installs: the wheel's files, its commands, and what happens where an optional package is missing."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = ("numpy", "cv2", "PIL")
OPTIONAL = (
    "torch",
    "onnx",
    "onnx_ir",
    "onnxscript",
    "onnxruntime",
    "tensorrt",
    "tensorrt_rtx",
    "openvino",
    "ncnn",
    "cgnet_native",
    "pnnx",
    "pycuda",
    "cuda",
    "safetensors",
    "matplotlib",
    "jinja2",
    "av",
    "triton",
    "ray",
    "pyarrow",
)
HEAVY = (*REQUIRED, *OPTIONAL)
COMMANDS = {
    "cgnet-bench",
    "cgnet-convert",
    "cgnet-doctor",
    "cgnet-export",
    "cgnet-label",
    "cgnet-train",
    "cgnet-tune",
    "cgnet-video",
}
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg", "cgnet_deploy", "export", "engines", "bench")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources: setuptools leaves a build folder beside what it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.tmp")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(source)], check=True)
    return next(out.iterdir())


def package_files() -> set[str]:
    """Every module and script, the mark of a typed package, the weights and the report, as one imports them."""
    wanted = set()
    for folder, _, names in os.walk(ROOT / "cgnet_deploy", followlinks=True):
        here = Path(folder).relative_to(ROOT)
        if here.is_relative_to("cgnet_deploy/bench/tools"):  # what only maintainers run, from a checkout
            continue
        wanted |= {
            str(here / name)
            for name in names
            if name.endswith((".py", ".sh", ".html", ".css", ".js", ".ptx"))
            or name == "py.typed"
            or here.name == "weights"
        }
    return wanted


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        links = [entry.filename for entry in archive.infolist() if entry.external_attr >> 28 == 0o12]
    metadata = {name for name in inside if name.startswith("cgnet_deploy-")}
    assert inside - metadata == package_files()
    assert {Path(name).name for name in metadata} == {
        "METADATA",
        "WHEEL",
        "RECORD",
        "LICENSE",
        "entry_points.txt",
        "top_level.txt",
    }
    assert not links
    # What lies behind the symbolic links, and what is no module, by name: the walk above might have missed it too.
    assert inside >= {
        "cgnet_deploy/export/fuse/rules.py",
        "cgnet_deploy/engines/trt.py",
        "cgnet_deploy/bench/cli.py",
        "cgnet_deploy/bench/report/page/page.html",
        "cgnet_deploy/py.typed",
        "cgnet_deploy/weights/scenes.pth",
    }


def test_shipped_weights_stay_small(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist() if "/weights/" in entry.filename}
    assert max(sizes.values()) <= 2_200_000, sizes


def commands() -> set[EntryPoint]:
    return {point for point in entry_points(group="console_scripts") if point.value.startswith("cgnet_deploy.")}


def test_the_commands_are_these_and_no_others() -> None:
    assert {point.name for point in commands()} == COMMANDS


@pytest.mark.parametrize("point", sorted(commands()), ids=lambda point: point.name)
def test_a_command_shows_its_help(point: EntryPoint, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        point.load()(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {point.name} ")


def python(code: str, *argv: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *argv], cwd=folder, capture_output=True, text=True, check=False)


def heavy_after(code: str) -> list[str]:
    """The heavy modules that `code` imports."""
    run = python(f"import sys\n{code}\nprint('heavy:', *(name for name in {HEAVY} if name in sys.modules))")
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1].split()[1:]


def test_python_m_runs_every_module_with_a_command_line() -> None:
    """Without its last line such a module ends with 0, and has done nothing."""
    runs = {}
    for path in (
        path for name in ("cgnet_deploy", "export", "engines", "bench") for path in (ROOT / name).rglob("*.py")
    ):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" and node.args.args for node in body):
            runs[path] = ast.unparse(body[-1]).startswith("if __name__ == '__main__':")
    assert len(runs) > 15
    assert [path for path, runs_it in runs.items() if not runs_it] == []


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert heavy_after("import cgnet_deploy") == []


@pytest.mark.parametrize("point", sorted(commands()), ids=lambda point: point.name)
def test_a_command_s_help_imports_nothing_heavy(point: EntryPoint) -> None:
    assert (
        heavy_after(f"""
from {point.module} import {point.attr} as main
try:
    main(["--help"])
except SystemExit as ended:
    assert ended.code == 0""")
        == []
    )


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters started from here find no optional package, and neither do theirs: the bench has one an engine."""
    for name in OPTIONAL:
        (tmp_path / f"{name}.py").write_text(f'raise ModuleNotFoundError("No module named {name}")')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("module", "argv", "extra"),
    [
        ("cgnet_deploy.export.cli", ["--ckpt", str(ROOT / "cgnet_deploy/weights/scenes.pth")], "export"),
        ("cgnet_deploy.checkpoint.cli", ["--ckpt", "model.pth", "--to", "mmseg", "out.pth"], "export"),
        ("cgnet_deploy.bench.cli", ["--engine", "model.pth"], "export"),
        ("cgnet_deploy.bench.cli", ["--engine", "model.pth", "--report", "r.html"], "report"),
        ("cgnet_deploy.doctor.cli", ["--ckpt", "model.pth", "--data", "scenes"], "export"),
        ("cgnet_deploy.video.cli", ["--engine", "model.pth", "--input", "0", "--masks", "masks"], "export"),
        ("cgnet_deploy.train.cli", ["--recipe", "scenes", "--data", "scenes", "--out", "run"], "train"),
    ],
)
def test_without_an_optional_package_a_command_says_what_to_install(
    module: str, argv: list[str], extra: str, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    code = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
    run = python(code, *argv, folder=here)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.endswith(f"pip install 'cgnet-deploy[{extra}]'")
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("file", "length", "says"),
    [
        ("README.md", None, "is not a checkpoint: it is a text that begins with"),
        ("cgnet_deploy/weights/scenes.pth", 9999, "cut short"),
    ],
)
@pytest.mark.parametrize(("module", "flags"), [("export", []), ("tuning", ["--data", "scenes"])])
def test_a_file_that_is_no_checkpoint_is_refused_without_torch(
    module: str, flags: list[str], file: str, length: int | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.pth").write_bytes((ROOT / file).read_bytes()[:length])
    code = f"import sys; from cgnet_deploy.{module}.cli import main; sys.exit(main(sys.argv[1:]))"
    run = python(code, "--ckpt", "bad.pth", *flags, folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert says in run.stderr
