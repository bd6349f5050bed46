"""The TensorRT-RTX provider of ONNX Runtime, on a stand-in whose work the CPU provider does. Not yet run on a GPU."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cgnet_deploy.engines import ortrtx
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import ArtifactError, CgnetError, EngineUnavailable, MissingPackage
from tests.engines.contract import EngineContract
from tests.engines.graphs import drawn_frames

onnxruntime = pytest.importorskip("onnxruntime")
NAME = "NvTensorRTRTXExecutionProvider"
NO_FALLBACK = "session.disable_cpu_ep_fallback"


class Machine:
    """A plugin and the ONNX Runtime that it is registered with, as strict as they are in what is asked of them."""

    def __init__(self, home: Path) -> None:
        self.library = home / "libprovider.so"
        self.library.touch()
        self.registered = False
        self.given: dict[str, str] = {}
        self.takes_it_all = True
        self.offers = 1
        machine = self

        class Options(onnxruntime.SessionOptions):  # type: ignore[misc, name-defined]
            provider, entries = "", dict[str, str]()

            def add_session_config_entry(self, key: str, value: str) -> None:
                self.entries = self.entries | {key: value}

            def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
                assert machine.registered
                assert len(devices) == 1
                assert {type(text) for pair in options.items() for text in pair} <= {str}
                self.provider, machine.given = devices[0].ep_name, options

        class Session:
            def __init__(self, content: bytes, options: Options) -> None:
                if not machine.takes_it_all and options.entries[NO_FALLBACK] == "1":
                    raise RuntimeError("This session contains graph nodes that are assigned to the default CPU EP")
                self._own, self._provider = onnxruntime.InferenceSession(content), options.provider
                self.get_inputs, self.run = self._own.get_inputs, self._own.run

            def get_providers(self) -> list[str]:
                return [self._provider, "CPUExecutionProvider"]

        self.ort, self.plugin = ModuleType("onnxruntime"), ModuleType("onnxruntime_ep_nv_tensorrt_rtx")
        vars(self.ort).update(
            __version__="1.32.0",
            SessionOptions=Options,
            InferenceSession=Session,
            register_execution_provider_library=self.register,
            get_ep_devices=lambda: [SimpleNamespace(ep_name=name) for name in self.names()],
        )
        vars(self.plugin).update(get_ep_name=lambda: NAME, get_library_path=lambda: str(self.library))

    def register(self, name: str, library: str) -> None:
        if self.registered:
            raise RuntimeError(f"{name} is already registered")
        if not Path(library).is_file():
            raise RuntimeError(f"Failed to load library {library}")
        self.registered = True

    def names(self) -> list[str]:
        return ["CPUExecutionProvider", *([NAME] * self.offers if self.registered else [])]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    modules = {module.__name__: module for module in (machine.ort, machine.plugin)}
    monkeypatch.setattr(ortrtx, "find_gpu", lambda: Gpu("a card", "sm_89"))
    monkeypatch.setattr(ortrtx, "require", lambda name, extra: modules[name])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return machine


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("file", ["frames_onnx", "tensor_onnx"])
class TestOnAStandIn(EngineContract):
    @pytest.fixture
    def path(self, file: str, request: pytest.FixtureRequest) -> Path:
        path: Path = request.getfixturevalue(file)
        return path

    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(f"ort-rtx:{path}", batch=batch)


def test_engines_of_a_process_share_one_registration_and_one_cache(
    machine: Machine, frames_onnx: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        with open_engine(f"ort-rtx:{frames_onnx}") as engine:
            assert engine.info.provider == f"{NAME} on a card"
            engine.infer(drawn_frames(1, 40, 56))
    assert machine.given == {"nv_runtime_cache_path": str(tmp_path / "cache" / "cgnet-deploy" / "ort-rtx")}
    assert ortrtx.probe() == f"onnxruntime 1.32.0, {NAME} on a card (sm_89)"


def test_nothing_is_kept_where_it_is_not_wanted_or_there_is_no_home(
    machine: Machine, frames_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine(f"ort-rtx:{frames_onnx}", cache=False).close()
    assert machine.given == {}

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    open_engine(f"ort-rtx:{frames_onnx}").close()
    assert machine.given == {}


def no_gpu() -> Gpu:
    raise EngineUnavailable("no NVIDIA GPU: the driver shows none")


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda m, patch: patch.setattr(ortrtx, "find_gpu", no_gpu), EngineUnavailable, "the driver shows none"),
        (
            lambda m, patch: patch.setattr(ortrtx, "find_gpu", lambda: Gpu("an H100", "sm_90")),
            EngineUnavailable,
            r"runs on sm_86, .* and this GPU \(an H100\) is sm_90: use trt: ",
        ),
        (lambda m, patch: m.library.unlink(), EngineUnavailable, f"{NAME} can't be loaded: Failed to load library"),
        (lambda m, patch: setattr(m, "offers", 0), EngineUnavailable, f"{NAME} offers nothing on a card"),
        (lambda m, patch: setattr(m, "takes_it_all", False), ArtifactError, f"{NAME} can't run .*default CPU EP"),
    ],
    ids=["no GPU", "another kind of GPU", "library", "driver", "fall back"],
)
def test_what_it_lacks_is_one_line(
    change: Any, kind: type[CgnetError], says: str, machine: Machine, frames_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(machine, monkeypatch)
    with pytest.raises(kind, match=says) as caught:
        open_engine(f"ort-rtx:{frames_onnx}")
    assert "\n" not in str(caught.value)


def test_without_the_package_its_extra_is_named(frames_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ortrtx, "find_gpu", lambda: Gpu("a card", "sm_89"))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    with pytest.raises(MissingPackage, match=r"pip install 'cgnet-deploy\[ort-rtx\]'"):
        open_engine(f"ort-rtx:{frames_onnx}")
