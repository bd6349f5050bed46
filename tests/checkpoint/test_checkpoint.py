"""Checkpoints in and out, and the input contract that each comes with."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint, save_mmseg, save_official
from cgnet_deploy.contracts import CONTRACTS, model_spec
from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import ModelSpec
from tests.files import named, official, saved
from tests.networks import drawn


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def spec_of(model: CGNet, contract: str = "camvid-official") -> ModelSpec:
    return model_spec(contract, model.classes, model.blocks)


def assert_equal(one: CGNet, other: CGNet) -> None:
    """Bit for bit: every published and every own tensor is stored as it is."""
    assert list(one.state_dict()) == list(other.state_dict())
    for tensor, wanted in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert tensor.dtype == wanted.dtype
        assert torch.equal(tensor, wanted)


@pytest.mark.shared
def test_the_released_weights_load(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    checkpoint = load_checkpoint(shared / "checkpoints/cgnet_camvid_official.pth")
    assert (checkpoint.format, checkpoint.contract, checkpoint.spec.name) == ("official", "camvid-official", "M3N21")
    assert checkpoint.spec.class_names[8] == "Car"
    assert checkpoint.provenance == {"epoch": "800"}
    assert not checkpoint.model.training
    assert "input contract camvid-official, RGB minus (105.65775, 103.329834, 99.625404)" in caplog.text


@pytest.mark.shared
@pytest.mark.parametrize("fmt", ["official", "mmseg"])
def test_published_formats_load(shared: Path, fmt: str) -> None:
    checkpoint = load_checkpoint(shared / f"fixtures/{fmt}_k19.pth")
    assert (checkpoint.format, checkpoint.contract) == (fmt, f"cityscapes-{fmt}")
    assert checkpoint.spec.class_names[0] == "road"


@pytest.mark.parametrize("bias", [False, True])
def test_our_own_format_loads_bit_equal_with_its_spec(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bias: bool
) -> None:
    caplog.set_level(logging.INFO)
    model = drawn(7, (4, 3), bias=bias)
    spec = replace(spec_of(model), class_names=tuple("abcdefg"), ignore_label=42)
    sha256 = save_checkpoint(tmp_path / "own.pth", model, spec, {"epoch": "12", "source": "a.pth"})
    checkpoint = load_checkpoint(tmp_path / "own.pth")
    assert_equal(checkpoint.model, model)
    assert (checkpoint.spec, checkpoint.sha256, checkpoint.contract) == (spec, sha256, "camvid-official")
    assert checkpoint.provenance == {"epoch": "12", "source": "a.pth"}
    assert caplog.text == ""


def test_safetensors_without_our_description_are_read_by_their_names(tmp_path: Path) -> None:
    model = drawn(11)
    path = written(tmp_path / "model.safetensors", safetensors.torch.save(named(model, "mmseg")))
    checkpoint = load_checkpoint(path)
    assert (checkpoint.format, checkpoint.contract, checkpoint.provenance) == ("mmseg", "camvid-official", {})
    assert_equal(checkpoint.model, model)


def test_equal_networks_give_equal_files(tmp_path: Path) -> None:
    notes = {str(i): "x" for i in range(20)}
    assert save_checkpoint(tmp_path / "a", drawn(), spec_of(drawn()), notes) == save_checkpoint(
        tmp_path / "b", drawn(), spec_of(drawn()), notes
    )


def test_a_network_of_the_paper_s_size_fits_in_the_package(tmp_path: Path) -> None:
    model = drawn(19, (3, 21))
    save_checkpoint(tmp_path / "own.pth", model, spec_of(model), {})
    assert (tmp_path / "own.pth").stat().st_size <= 2_200_000


def test_the_spec_of_another_network_is_refused(tmp_path: Path) -> None:
    model = drawn()
    with pytest.raises(UsageError, match="does not describe this network"):
        save_checkpoint(tmp_path / "own.pth", model, spec_of(drawn(4)), {})
    assert list(tmp_path.iterdir()) == []


def test_a_contract_overrides_what_the_format_implies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = written(tmp_path / "model.pth", official())
    checkpoint = load_checkpoint(path, contract="cityscapes-mmseg")
    assert checkpoint.spec.input == CONTRACTS["cityscapes-mmseg"]
    assert checkpoint.spec.class_names[8] == "Car"
    assert caplog.text == ""


def test_a_contract_overrides_what_the_file_says_and_leaves_the_classes(tmp_path: Path) -> None:
    model = drawn(11)
    spec = replace(spec_of(model), ignore_label=42)
    save_checkpoint(tmp_path / "own.pth", model, spec, {})
    checkpoint = load_checkpoint(tmp_path / "own.pth", contract="cityscapes-official")
    assert checkpoint.spec == replace(spec, input=CONTRACTS["cityscapes-official"])
    assert checkpoint.contract == "cityscapes-official"


def test_parts_of_the_contract_can_be_overridden(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pth", official())
    checkpoint = load_checkpoint(path, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), color="bgr")
    assert checkpoint.contract == "custom"
    spec = checkpoint.spec.input
    assert (spec.mean, spec.std, spec.color) == ((1, 2, 3), (4, 5, 6), "bgr")


def test_no_contract_is_guessed_for_an_unknown_class_count(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pth", saved(named(drawn(7), "official")))
    with pytest.raises(UsageError, match="for 7 classes in the official format: give --mean, --std, --color, or"):
        load_checkpoint(path)
    assert load_checkpoint(path, contract="camvid-official").spec.classes == 7


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema 2, wanted 1"),
        ({"spec": None}, "not the description of a CGNet"),
        ({"spec": spec_of(drawn(4)).to_json()}, "says 4 classes and blocks (2, 2), its weights 3 and (2, 2)"),
        ({"provenance": 3}, "can't be read"),
    ],
)
def test_a_false_description_is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    model = drawn()
    description = {"schema": 1, "spec": spec_of(model).to_json(), "provenance": {}} | change
    data = safetensors.torch.save(model.state_dict(), metadata={"cgnet": json.dumps(description)})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(written(tmp_path / "own.pth", data))
    assert reason in str(caught.value)


def test_official_files_are_what_the_official_code_writes(tmp_path: Path) -> None:
    model = drawn()
    save_official(tmp_path / "model.pth", model, {"epoch": "300"})
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    assert (list(content), content["epoch"]) == (["epoch", "model"], 300)
    assert list(content["model"]) == list(named(model, "official"))


def test_the_official_format_has_no_place_for_a_bias(tmp_path: Path) -> None:
    model = drawn(bias=True)
    with pytest.raises(CheckpointError, match="has a bias"):
        save_official(tmp_path / "model.pth", model, {})
    assert list(tmp_path.iterdir()) == []
    torch.nn.init.zeros_(model.get_parameter("classifier.bias"))
    save_official(tmp_path / "model.pth", model, {})
    without = load_checkpoint(tmp_path / "model.pth", contract="camvid-official").model
    assert torch.equal(without.classifier.weight, model.classifier.weight)
    assert without.classifier.bias is None


def test_mmseg_files_are_what_mmsegmentation_writes(tmp_path: Path) -> None:
    model = drawn()
    save_mmseg(tmp_path / "model.pth", model, {"iter": "60000", "mmseg_version": "1.2.2"})
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    assert content["meta"] == {"iter": 60_000, "mmseg_version": "1.2.2"}
    assert list(content["state_dict"]) == [*named(model, "mmseg"), "decode_head.conv_seg.bias"]
    assert not content["state_dict"]["decode_head.conv_seg.bias"].any()
