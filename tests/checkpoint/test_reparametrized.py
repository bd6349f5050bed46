"""Weights that torch keeps in parts are computed as torch computes them, or the call that removes them is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from cgnet_deploy.checkpoint.keys import renamed
from cgnet_deploy.checkpoint.reading import read_network
from cgnet_deploy.errors import CheckpointError
from cgnet_deploy.model import CGNet
from tests.files import saved
from tests.networks import drawn

Change = Callable[[nn.Module], object]


def pruned(module: nn.Module) -> None:
    prune.l1_unstructured(module, "weight", 0.3)  # type: ignore[no-untyped-call]


CHANGES: dict[str, Change] = {
    "prune": pruned,
    "weight_norm": weight_norm,
    "weight_norm over all": lambda module: weight_norm(module, dim=None),  # type: ignore[arg-type]  # as documented
    "weight_norm of the inputs": lambda module: weight_norm(module, dim=1),
    "spectral_norm": spectral_norm,
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
}
REFUSED: dict[str, tuple[Change, str]] = {
    "orthogonal": (parametrizations.orthogonal, r"parametrize\.remove_parametrizations\(module, 'weight'\)"),
    "two at once": (
        lambda module: parametrizations.spectral_norm(parametrizations.orthogonal(module)),
        r"parametrize\.remove_parametrizations\(module, 'weight'\)",
    ),
    "spectral_norm of the inputs": (lambda module: spectral_norm(module, dim=1), "remove_spectral_norm"),
}


@pytest.fixture(autouse=True)
def _deprecated() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # of torch, about its older forms
        yield


def changed(change: Change) -> CGNet:
    model = drawn(11)
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d):
            change(module)
    with torch.no_grad():
        model(torch.zeros(2, 3, 64, 64))  # a step of the power iteration, of which spectral_norm keeps the vectors
    return model.eval()


@torch.no_grad()
def same(one: CGNet, other: CGNet) -> bool:
    frames = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return torch.allclose(one(frames), other(frames), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CHANGES)
def test_a_weight_in_parts_is_the_one_that_torch_computes(name: str, tmp_path: Path) -> None:
    model = changed(CHANGES[name])
    (path := tmp_path / "a.pth").write_bytes(saved({"state_dict": model.state_dict()}))
    assert same(read_network(path).model, model)
    assert not same(drawn(11), model) or "weight_norm" in name  # weight_norm changes no weight until it is trained


@pytest.mark.parametrize("prefix", ["", "module.", "model.net._orig_mod."])
def test_parts_may_have_another_code_base_s_names_and_a_wrapper_s(prefix: str, tmp_path: Path) -> None:
    model = drawn(11)
    weight = model.classifier.weight.detach()
    state: dict[str, Tensor] = dict(model.state_dict())
    names = renamed(list(state), model.blocks, "official")
    theirs = {prefix + names[key]: tensor for key, tensor in state.items()}
    head = prefix + names["classifier.weight"]
    del theirs[head]
    theirs |= {f"{head}_orig": weight, f"{head}_mask": (weight > 0).to(torch.bool)}
    (path := tmp_path / "a.pth").write_bytes(saved(theirs))
    assert torch.equal(read_network(path).model.classifier.weight, weight.clamp(min=0))


def test_a_trained_norm_is_heeded(tmp_path: Path) -> None:
    model = changed(weight_norm)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight_g"):
                parameter.mul_(1.25)
    (path := tmp_path / "a.pth").write_bytes(saved(model.state_dict()))
    assert torch.allclose(read_network(path).model.classifier.weight, drawn(11).classifier.weight * 1.25)


def test_the_norm_of_a_vector_is_that_of_each_value(tmp_path: Path) -> None:
    state: dict[str, Any] = dict(drawn(11).state_dict())
    slopes = state.pop("join1.act.weight")
    state |= {"join1.act.weight_g": slopes, "join1.act.weight_v": torch.linspace(1, 9, len(slopes))}
    (path := tmp_path / "a.pth").write_bytes(saved(state))
    assert torch.equal(read_network(path).model.state_dict()["join1.act.weight"], slopes)


def test_what_is_multiplied_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "cgnet_deploy")
    (path := tmp_path / "a.pth").write_bytes(saved(changed(pruned).state_dict()))
    read_network(path)
    assert "weights are kept in parts (pruned, or weight or spectral norm): multiplied out" in caplog.text


@pytest.mark.parametrize("name", REFUSED)
def test_the_call_that_removes_others_is_named(name: str, tmp_path: Path) -> None:
    change, says = REFUSED[name]
    (path := tmp_path / "a.pth").write_bytes(saved(changed(change).state_dict()))
    with pytest.raises(CheckpointError, match=says) as caught:
        read_network(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        {"orig": torch.ones(11, 256, 1, 1)},
        {"orig": torch.ones(11, 256, 1, 1), "mask": torch.ones(3)},
        {"orig": torch.ones(11, 256, 1, 1), "mask": 3},
        {"g": torch.ones(7, 1, 1, 1), "v": torch.ones(11, 256, 1, 1)},
        {"g": torch.ones(1), "v": torch.ones(1).expand(1 << 40)},
        {"orig": torch.ones(11, 256, 1, 1), "mask": torch.ones(11, 256, 1, 1).to_sparse()},
        {"orig": torch.ones(11, 256, 1, 1, dtype=torch.complex64), "mask": torch.ones(11, 256, 1, 1)},
        {"orig": torch.ones(()), "u": torch.ones(11), "v": torch.ones(256)},
    ],
    ids=["one", "shape", "number", "g", "huge", "sparse", "complex", "scalar"],
)
def test_unsound_parts_are_refused(parts: dict[str, Any], tmp_path: Path) -> None:
    state: dict[str, Any] = dict(drawn(11).state_dict())
    del state["classifier.weight"]
    state |= {f"classifier.weight_{part}": value for part, value in parts.items()}
    (path := tmp_path / "a.pth").write_bytes(saved(state))
    with pytest.raises(CheckpointError, match=r"'classifier\.weight' is kept as .* save the network again"):
        read_network(path)
