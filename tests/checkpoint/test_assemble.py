"""Which network a set of named tensors is."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cgnet_deploy.checkpoint.assemble import assemble as assemble_weights
from cgnet_deploy.checkpoint.assemble import some
from cgnet_deploy.checkpoint.keys import FORMATS, Format
from cgnet_deploy.checkpoint.wrappers import weight_sets
from cgnet_deploy.errors import CheckpointError
from cgnet_deploy.model import CGNet
from tests.files import named
from tests.networks import drawn

PATH = Path("model.pth")


def assemble(path: Path, tensors: dict[str, torch.Tensor]) -> tuple[CGNet, Format]:
    return assemble_weights(path, weight_sets(tensors)[0])


@settings(max_examples=15)
@given(
    fmt=st.sampled_from(FORMATS),
    classes=st.integers(1, 255),
    m=st.integers(2, 5),
    n=st.integers(2, 5),
    bias=st.booleans(),
)
def test_format_depth_classes_and_bias_are_recognised(fmt: Format, classes: int, m: int, n: int, bias: bool) -> None:
    model = drawn(classes, (m, n), bias=bias)
    model_read, fmt_read = assemble(PATH, named(model, fmt))
    assert (fmt_read, model_read.classes, model_read.blocks) == (fmt, classes, (m, n))
    assert (model_read.classifier.bias is not None) == bias
    assert not model_read.training
    for key, tensor in model.state_dict().items():
        assert torch.equal(model_read.state_dict()[key], tensor)


def test_the_wrapper_of_several_gpus_and_the_dropout_are_seen_through() -> None:
    weights = named(drawn(), "official")
    weights["classifier.1.conv.weight"] = weights.pop("classifier.0.conv.weight")
    _, fmt = assemble(PATH, {f"module.{key}": tensor for key, tensor in weights.items()})
    assert fmt == "official"


def test_what_only_training_uses_is_ignored_with_a_note(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    weights = named(drawn(bias=True), "mmseg")
    average = {f"ema_{key.replace('.', '_')}": tensor for key, tensor in weights.items()}
    beside = {"data_preprocessor.mean": torch.zeros(3), "auxiliary_head.conv_seg.weight": torch.zeros(3, 64, 1, 1)}
    model, _ = assemble(PATH, {**weights, **beside, **average})
    assert torch.equal(model.classifier.weight, weights["decode_head.conv_seg.weight"])
    assert "ignoring 'auxiliary_head.conv_seg.weight', 'data_preprocessor.mean'" in caplog.text


@pytest.mark.parametrize("counter", [torch.int32, torch.float32, None])
def test_counters_may_be_of_any_kind_or_missing(counter: torch.dtype | None) -> None:
    """Of another width, averaged, or of a torch that had none yet: inference never reads them."""
    weights = named(drawn(), "mmseg")
    for key in [key for key in weights if key.endswith("num_batches_tracked")]:
        count = weights.pop(key)
        if counter:
            weights[key] = count.to(counter)
    model, _ = assemble(PATH, weights)
    assert int(model.state_dict()["join1.bn.num_batches_tracked"]) == (46_400 if counter is torch.int32 else 0)


def test_what_tools_of_training_leave_behind_is_ignored() -> None:
    """thop's counts in every module, a loss with weights, AveragedModel's counter."""
    weights = named(drawn(), "official")
    beside = {"total_ops": torch.zeros(1), "b1.bn.total_params": torch.zeros(1), "criterion.weight": torch.ones(3)}
    model, _ = assemble(PATH, {**weights, **beside, "n_averaged": torch.tensor(3)})
    assert torch.equal(model.classifier.weight, weights["classifier.0.conv.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2])
def test_other_floats_become_float32(dtype: torch.dtype) -> None:
    weights = named(drawn(), "official")
    short = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in weights.items()}
    model, _ = assemble(PATH, short)
    assert model.classifier.weight.dtype == torch.float32
    assert torch.equal(model.classifier.weight, short["classifier.0.conv.weight"].float())


def test_names_in_a_message_are_bounded_and_printable() -> None:
    text = some(["a\nb\x1b[31m", "c" * 1000, "d", "e", "f"])
    assert text.isprintable()
    assert len(text) < 120
    assert text.endswith("and 2 more")


def test_more_blocks_than_any_network_has_are_not_built() -> None:
    weights = named(drawn(), "official") | {"level3.5000.conv1x1.conv.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"also holds 'level3\.5000\.conv1x1\.conv\.weight'"):
        assemble(PATH, weights)
