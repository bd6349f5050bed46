"""Every call of TensorRT's Python API is one that its stubs know, and TensorRT for RTX's own package too.

mypy reads our modules twice: `tensorrt` is first what the package tensorrt-stubs says (10.13), then what stubgen finds
in the installed tensorrt_rtx. Stubs made by machines are often wrong about types, so only unknown names and numbers of
arguments count.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest
from mypy import api, stubgen

import cgnet_deploy

ENGINES = Path(cgnet_deploy.__file__).parent / "engines"
MODULES = ("build", "progress", "rtxruntime", "trt", "trtapi")
UNKNOWN = re.compile(r"error: .*\[(attr-defined|call-arg|import-not-found|name-defined)\]$")
REPAIRS = (  # what no parser takes: a keyword as a name, and a parameter without a default behind one with
    (re.compile(r"\bin: list"), "input: list"),
    (re.compile(r"(channel_axis: [\w.]+)\)"), r"\1 = ...)"),
)


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders `tensorrt` and `rtx`, for mypy_path; `tensorrt_rtx` is the same in both."""
    pytest.importorskip("tensorrt_rtx")
    try:
        published = files("tensorrt-stubs") or []
    except PackageNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("pip install --no-deps tensorrt-stubs")
    folder = tmp_path_factory.mktemp("stubs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])  # stubgen adds the current folder
        stubgen.main(["--quiet", "--inspect-mode", "-p", "tensorrt_rtx_bindings", "-o", str(folder)])
    (folder / "tensorrt_rtx.pyi").write_text("from tensorrt_rtx_bindings.tensorrt_rtx import *\n")
    (folder / "rtx").mkdir()
    shutil.copy(folder / "tensorrt_rtx.pyi", folder / "rtx" / "tensorrt.pyi")
    for file in published:
        if file.suffix == ".pyi":
            to = folder / "tensorrt" / file
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), to)
    for path in folder.rglob("*.pyi"):
        text = path.read_text()
        for wrong, right in REPAIRS:
            text = wrong.sub(right, text)
        path.write_text(text)
    return folder


def unknown(stubs: Path, package: str, shadow: tuple[str, ...] = ()) -> list[str]:
    """Lines of mypy about what isn't there."""
    config = stubs / f"{package}.ini"
    config.write_text(
        f"[mypy]\nmypy_path = {stubs / package}:{stubs}\ncache_dir = {stubs / package}.cache\nfollow_imports = skip\n"
        "check_untyped_defs = True\n[mypy-numpy.*]\nfollow_imports = skip\nfollow_imports_for_stubs = True\n"
    )
    modules = [str(ENGINES / f"{module}.py") for module in MODULES]
    said, failed, status = api.run(["--config-file", str(config), *shadow, *modules])
    assert status in (0, 1), said + failed
    return [line for line in said.splitlines() if "engines/" in line and UNKNOWN.search(line)]


@pytest.mark.parametrize("package", ["tensorrt", "rtx"])
def test_no_call_is_unknown(stubs: Path, package: str) -> None:
    assert unknown(stubs, package) == []


def test_a_call_that_is_not_there_is_found(stubs: Path, tmp_path: Path) -> None:
    ours, spoilt = ENGINES / "trt.py", tmp_path / "trt.py"
    text = ours.read_text()
    assert "execute_async_v3(" in text
    spoilt.write_text(
        text.replace("execute_async_v3(", "execute_async_v4(").replace("TensorIOMode.INPUT", "TensorIOMode.IN")
    )
    first, second = unknown(stubs, "tensorrt", ("--shadow-file", str(ours), str(spoilt)))
    assert 'no attribute "IN"' in first
    assert 'no attribute "execute_async_v4"' in second
