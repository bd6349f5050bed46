"""Export from Python: the same files as the command writes, plain values for arguments, and nothing printed."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.api import export
from cgnet_deploy.export.cli import _parser, main
from cgnet_deploy.export.fuse import prelu
from cgnet_deploy.export.targets import Target
from cgnet_deploy.spec import Precision, Res
from tests.export.networks import Character, save, trained

MODEL = trained(character=Character(dead=0.2))


@pytest.fixture
def folder(workplace: Path) -> Path:
    save(MODEL, workplace / "model.safetensors")
    return workplace


def test_writes_what_the_command_writes_and_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    exported = export("model.safetensors", "api.onnx", precision="f16", res="33x47", target="ort-cpu", prune=True)
    assert capfd.readouterr() == ("", "")
    flags = ["--ckpt", "model.safetensors", "--fp16", "--res", "33x47", "--target", "ort-cpu", "--prune-dead"]
    assert main([*flags, "--no-engine", "--onnx", "cli.onnx", "--json", "cli.json"]) == 0
    assert (folder / "api.onnx").read_bytes() == (folder / "cli.onnx").read_bytes()
    assert capfd.readouterr().out.replace("cli.onnx", "api.onnx") == exported.summary() + "\n"
    report = json.loads((folder / "cli.json").read_text())
    assert {**report, "onnx": "api.onnx"} == json.loads(json.dumps(exported.to_json()))


def test_takes_typed_values_and_plain_ones(folder: Path) -> None:
    typed = export(Path("model.safetensors"), Path("a.onnx"), precision=Precision.F32, res=Res(33, 47), batch=2)
    plain = export("model.safetensors", "b.onnx", precision="f32", res="33x47", batch=2)
    assert (folder / "a.onnx").read_bytes() == (folder / "b.onnx").read_bytes()
    assert read_artifact(Path("a.onnx")) == typed.artifact
    assert (typed.batch, typed.res, typed.plan) == (plain.batch, plain.res, None) == (2, Res(33, 47), None)


# What is wrong, and a part of the message; the command's own parser catches some of these before.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no such precision": ({"precision": "fp8"}, "--precision fp8: must be one of f32, f16, int8"),
    "no such target": ({"target": "tpu"}, "--target tpu: must be one of generic, ort-cpu, openvino, tensorrt"),
    "no such contract": ({"contract": "kitti"}, "--contract kitti: must be one of"),
    "a size that is no size": ({"res": "33"}, "'33' is not HEIGHTxWIDTH"),
    "a size out of bounds": ({"res": Res(1, 1)}, "each side must be 32 to 8192 pixels"),
    "no frame": ({"batch": 0}, "--batch 0: must be between 1 and 256"),
    "int8 without frames": ({"precision": "int8"}, "--int8 needs frames to calibrate on"),
    "an unknown rule": ({"without": ["no-such-rule"]}, "--without no-such-rule: must be one of"),
    "the checkpoint as output": ({"onnx": "model.safetensors"}, "must be different files"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_arguments_before_any_work(case: str, folder: Path) -> None:
    arguments, message = BAD[case]
    with pytest.raises(UsageError) as refused:
        export("model.safetensors", **arguments)
    assert message in str(refused.value)
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_every_flag_is_an_argument_and_every_argument_a_flag() -> None:
    flags = {action.dest for action in _parser()._actions} - {"help", "version", "log_level", "json"}
    assert flags == set(inspect.signature(export).parameters)


def test_a_target_of_one_s_own(folder: Path) -> None:
    own = Target("mine", forms=(prelu.AFFINE,))
    exported = export("model.safetensors", "mine.onnx", res="33x47", target=own)
    assert exported.target == read_artifact(folder / "mine.onnx").made_with["target"] == "mine"
    assert exported.fusion.fired["prelu-affine"] > 0
