"""The networks in a file, in whatever containers and behind whatever names, and which of several is taken."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cgnet_deploy.checkpoint.keys import FORMATS, Format
from cgnet_deploy.checkpoint.reading import load_checkpoint, read_network
from cgnet_deploy.checkpoint.wrappers import STATISTICS, weight_sets
from cgnet_deploy.errors import CheckpointError
from tests.files import named, saved
from tests.networks import drawn

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "_fsdp_wrapped_module.", "model_ema.")
RAW, AVERAGE = drawn(11), drawn(11, seed=1)


def under(prefix: str, fmt: Format = "official", model: torch.nn.Module = RAW) -> dict[str, Any]:
    return {f"{prefix}{key}": tensor for key, tensor in named(model, fmt).items()}  # type: ignore[arg-type]


def written(path: Path, content: object) -> Path:
    path.write_bytes(saved(content))
    return path


def taken(path: Path, weights: str | None = None) -> str:
    """Which of the two networks is taken."""
    classifier = read_network(path, weights).model.classifier.weight
    return next(
        name for name, one in (("raw", RAW), ("ema", AVERAGE)) if torch.equal(one.classifier.weight, classifier)
    )


@settings(max_examples=40)
@given(
    fmt=st.sampled_from(FORMATS),
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=4),
    containers=st.lists(
        st.sampled_from(("model", "state_dict", "model_state_dict", "checkpoint", 0, "x.y")), max_size=4
    ),
)
def test_prefixes_and_containers_of_any_name_order_and_depth(
    fmt: Format, prefixes: list[str], containers: list[str | int]
) -> None:
    content: object = under("".join(prefixes), fmt)
    for name in containers:
        content = {name: content, "epoch": 7} if isinstance(name, str) else (7, content)
    (found,) = weight_sets(content)
    assert found.tensors.keys() == named(RAW, fmt).keys()
    assert not found.outside


@pytest.mark.parametrize(
    "content",
    [
        under("_orig_mod."),
        {"state_dict": under("model."), "pytorch-lightning_version": "2.4.0"},
        {"state_dict": under("model._orig_mod.module.")},
        {"model_state_dict": under("module.")},
        {"model": under("module.") | {"module.n_averaged": torch.tensor(3)}},
        {"state_dict": {key.replace("backbone.", "backbone.module."): t for key, t in under("", "mmseg").items()}},
        (7, under("")),
        {"module": under(""), "param_shapes": [{key: tensor.shape for key, tensor in under("").items()}]},
        under("") | {"aux_head.0.weight": torch.zeros(3), "iou_metric.counts": torch.zeros(2)},
    ],
    ids=["compile", "lightning", "all three", "tutorial", "averaged", "inside", "tuple", "deepspeed", "training only"],
)
def test_files_as_people_have_them(content: object, tmp_path: Path) -> None:
    assert taken(written(tmp_path / "a.pth", content)) == "raw"


def test_prefixes_in_safetensors(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(safetensors.torch.save(under("model.net.", "cgnet")))
    assert taken(tmp_path / "a.safetensors") == "raw"


def test_modules_beside_the_network_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = {"state_dict": under("model.") | {"metric.counts": torch.zeros(2)}}
    assert taken(written(tmp_path / "a.ckpt", content)) == "raw"
    assert "ignoring 'metric.counts', which stand beside the network 'state_dict:model'" in caplog.text


def parameters(state: dict[str, Any]) -> dict[str, Any]:
    return {key: tensor for key, tensor in state.items() if not key.endswith(STATISTICS)}


BOTH = {
    "timm": {"state_dict_ema": under("", model=AVERAGE), "state_dict": under("")},
    "averaged model": {"model": under(""), "smooth": under("module.", model=AVERAGE) | {"n_averaged": torch.tensor(9)}},
    "lightning": {"state_dict": under("model.") | under("ema_model.module.", model=AVERAGE)},
    "nested": {"a": {"model": under("")}, "callbacks": {"EMA": {"weights": under("", model=AVERAGE)}}},
    "shadow": {"model": under("module."), "shadow": parameters(under("", model=AVERAGE))},
    "torch_ema": {
        "net": under(""),
        "average": {"decay": 0.9, "shadow_params": [*parameters(under("", model=AVERAGE)).values()]},
    },
}


@pytest.mark.parametrize("case", BOTH)
def test_weights_and_their_average(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "a.pth", BOTH[case])
    assert taken(path) == "raw"
    assert "holds 2 sets of weights: using " in caplog.text
    assert "--weights ema chooses the average" in caplog.text
    caplog.clear()
    assert (taken(path, "ema"), taken(path, "raw")) == ("ema", "raw")
    assert not caplog.records


def test_mmcv_keeps_the_average_of_the_parameters_in_the_same_dictionary(tmp_path: Path) -> None:
    plain, average = named(RAW, "mmseg"), named(AVERAGE, "mmseg")
    content = {f"ema_{key.replace('.', '_')}": tensor for key, tensor in average.items() if "running" not in key}
    path = written(tmp_path / "a.pth", {"state_dict": plain | content})
    assert taken(path) == "raw"
    averaged = read_network(path, "ema").model
    assert torch.equal(averaged.classifier.weight, AVERAGE.classifier.weight)
    assert torch.equal(averaged.state_dict()["join1.bn.running_var"], RAW.state_dict()["join1.bn.running_var"])


@pytest.mark.parametrize("case", ["shadow", "torch_ema"])
def test_an_average_of_the_parameters_has_the_statistics_of_the_weights(case: str, tmp_path: Path) -> None:
    averaged = read_network(written(tmp_path / "a.pth", BOTH[case]), "ema").model.state_dict()
    wanted = parameters(AVERAGE.state_dict()) | {k: v for k, v in RAW.state_dict().items() if k.endswith(STATISTICS)}
    assert all(torch.equal(averaged[key], tensor) for key, tensor in wanted.items())


def test_a_list_of_other_tensors_is_no_set() -> None:
    few = [*parameters(under("")).values()][:-1]
    assert len(weight_sets({"model": under(""), "list": few, "turned": few[::-1] + few[:1]})) == 1


def test_mmengine_swaps_the_two(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its EMAHook saves the average as state_dict and the weights as ema_state_dict."""
    content = {"state_dict": named(AVERAGE, "mmseg"), "ema_state_dict": under("module.", "mmseg")}
    content["ema_state_dict"]["steps"] = torch.tensor(60_000)
    path = written(tmp_path / "a.pth", content)
    assert taken(path) == "ema"
    assert "using 'state_dict', the running average, not 'ema_state_dict'; --weights raw" in caplog.text
    assert (taken(path, "ema"), taken(path, "raw")) == ("ema", "raw")


def test_a_set_is_chosen_by_name_or_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pth", {"teacher": under(""), "student": under("", model=AVERAGE)})
    assert taken(path, "student") == "ema"
    with pytest.raises(CheckpointError, match="holds no weights called ema; choose with --weights"):
        load_checkpoint(path, weights="ema")
    with pytest.raises(CheckpointError, match=r"choose with --weights 'teacher' or 'student'$"):
        load_checkpoint(path)


def test_a_long_name_is_shown_as_it_must_be_typed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = {"state_dict": under("model."), "callbacks": {"StochasticWeightAveraging": {}}}
    content["callbacks"]["StochasticWeightAveraging"]["average_model_state"] = under("model.", model=AVERAGE)
    path = written(tmp_path / "a.ckpt", content)
    assert taken(path) == "raw"
    name = "callbacks.StochasticWeightAveraging.average_model_state:model"
    assert f"not '{name}'" in caplog.text
    assert taken(path, name) == "ema"


def test_an_average_alone_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = written(tmp_path / "a.pth", {"ema": under("module.", model=AVERAGE)})
    assert taken(path) == "ema"
    assert not caplog.records


def test_hostile_nesting_is_bounded() -> None:
    deep: dict[str, object] = {}
    for _ in range(200):
        deep = {"a": deep, "b": deep}
    assert len(weight_sets(deep)) == 1
    assert weight_sets([0]) == []


@pytest.mark.parametrize(
    "content",
    [
        {str(i): {} for i in range(4_900)},
        {f"{i}.{key}": None for i in range(2000) for key in ("level1_0.conv.weight", "classifier.0.conv.weight")},
        {"a": {str(i): [{}] * 50 for i in range(90)}},
    ],
    ids=["dictionaries", "prefixes", "lists"],
)
def test_hostile_breadth_takes_no_quadratic_memory(content: dict[str, object]) -> None:
    tracemalloc.start()
    try:
        weight_sets(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
