"""The table of backends: complete, light to import, and what everything that lists backends reads."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cgnet_deploy.bench import options
from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.doctor.probe import PROBES, RUNNING
from cgnet_deploy.engines import backends
from cgnet_deploy.engines.backends import BACKENDS, BY_NAME, BY_SUFFIX, Backend
from cgnet_deploy.engines.trtapi import PACKAGES as TENSORRTS

ENGINES = Path(backends.__file__).parent
by_name = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)


def test_names_and_suffixes_are_unique() -> None:
    assert len(BY_NAME) == len(BACKENDS)
    assert len(BY_SUFFIX) == sum(len(backend.suffixes) for backend in BACKENDS)
    assert all(not backend.probed_as or not BY_NAME[backend.probed_as].probed_as for backend in BACKENDS)


@by_name
def test_each_module_opens_and_probes_with_the_options_of_its_entry(backend: Backend) -> None:
    for name in {package.partition(".")[0] for package in backend.runtime.imports} & {"torch", "triton"}:
        pytest.importorskip(name)
    module = import_module(f"cgnet_deploy.engines.{backend.runtime.module}")
    inspect.signature(module.open).bind("request", **backend.options)
    if not backend.probed_as:
        inspect.signature(module.probe).bind(**backend.options)


@pytest.mark.parametrize(("module", "others"), [("open", set()), ("backends", {"numpy", "cv2"})])
def test_the_table_imports_no_runtime(module: str, others: set[str]) -> None:
    code = f"import sys; import cgnet_deploy.engines.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    runtimes = {name.partition(".")[0] for backend in BACKENDS for name in backend.runtime.imports}
    runtimes.remove("cv2")  # no package does without it
    assert not (runtimes | others) & set(loaded)


def third_party() -> set[str]:
    """The modules that the engines import, by a statement or by `require`, beside the standard library and ours."""
    names = set(TENSORRTS.values())
    for path in ENGINES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
                names |= {
                    arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                }
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"cgnet_deploy"}


def test_each_package_that_engines_import_is_recorded() -> None:
    """Or rows of --jsonl would be taken again after it has changed."""
    recorded = {name.replace("_", "-") for name in describe(1, ()).packages}
    always = {"packaging"}  # of no engine's speed
    assert {"ncnn", "openvino", "torch", "triton"} <= third_party()
    # from Python 3.12 on, stubs for a type checker are named too
    providers = {
        module: [name for name in names if not name.endswith("-stubs")]
        for module, names in metadata.packages_distributions().items()
    }
    for module in sorted((third_party() - always) & {module for module, names in providers.items() if names}):
        assert recorded & {name.lower().replace("_", "-") for name in (module, *providers[module])}, module


@by_name
def test_the_extra_of_a_backend_installs_what_it_imports(backend: Backend) -> None:
    declared = [Requirement(line) for line in metadata.requires("cgnet-deploy") or ()]
    extra = {one.name for one in declared if not one.marker or one.marker.evaluate({"extra": backend.runtime.extra})}
    # of extras of their own, built in a checkout, or what cuda-python brings
    others = {"onnx", "tensorrt-rtx", "cgnet-native", "cuda-bindings"}
    here = {name.replace("_", "-") for name in backend.runtime.packages} - others
    assert here <= extra


def test_a_cuda_python_without_the_module_that_engines_import_is_not_installed() -> None:
    """`cuda.bindings` is not in 12.6.0 and before."""
    config = ConfigParser(interpolation=None)
    config.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    extras = (
        config["options.extras_require"][backend.runtime.extra] for backend in (BY_NAME["trt"], BY_NAME["ort-cuda"])
    )
    declared = [Requirement(line) for lines in extras for line in lines.split("\n") if line]
    ours = [one for one in declared if one.name == "cuda-python"]
    assert len(ours) == 2
    assert not [one for one in ours for version in ("12.3.0", "12.6.0") if version in one.specifier]


def test_whatever_lists_backends_lists_these() -> None:
    (engine,) = (action for action in options.parser()._actions if "--engine" in action.option_strings)
    assert backends.HELP in str(engine.help)
    assert all(backend.name in backends.HELP for backend in BACKENDS)
    assert set(RUNNING) == {backend.name for backend in BACKENDS if not backend.probed_as}
    assert set(PROBES) == {*RUNNING, "tensorrt", "rtx"}
