"""The fast path against CGNet in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.fast.fold import fold, stored
from cgnet_deploy.engines.fast.launch import Launch
from cgnet_deploy.engines.fast.network import FastNetwork
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import InputSpec
from tests.engines.fast.held import DEVICE
from tests.engines.graphs import drawn_frames
from tests.networks import drawn

RGB = replace(model_spec("camvid-official", 3, (2, 2)).input, mean=(90.5, 100.0, 120.25), std=(50.0, 60.0, 70.0))
BGR = replace(RGB, color="bgr", std=(1.0, 1.0, 1.0))


def exact_scores(model: CGNet, frames: U8, spec: InputSpec) -> torch.Tensor:
    """(N, K, H/8, W/8) by the network itself, from frame to scores in float64."""
    planes = frames[..., list(spec.channels)].astype(np.float64)
    planes = ((planes - spec.mean) / spec.std).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        scores = model.double().scores(torch.from_numpy(planes))
    model.float()
    return scores


def network_for(model: CGNet, frames: U8, spec: InputSpec, dtype: torch.dtype) -> FastNetwork:
    device = DEVICE if dtype != torch.float64 else torch.device("cpu")
    n, height, width, _ = frames.shape
    network = FastNetwork(stored(fold(model, spec), dtype, device), (n, height, width), dtype, device)
    network.frames.copy_(torch.from_numpy(frames))
    return network


@pytest.mark.parametrize(
    ("classes", "blocks", "bias", "spec"), [(1, (2, 2), False, RGB), (11, (3, 2), False, BGR), (19, (2, 3), True, RGB)]
)
def test_folding_and_references_are_the_network(
    classes: int, blocks: tuple[int, int], bias: bool, spec: InputSpec
) -> None:
    """In float64, where nothing but the algebra can differ: what the kernels are held to is the network."""
    model = drawn(classes, blocks, bias=bias)
    frames = drawn_frames(2, 43, 61)
    network = network_for(model, frames, spec, torch.float64)
    for launch in network.launches:
        launch.reference()
    wanted = exact_scores(model, frames, spec)
    assert (network.scores - wanted).abs().max() <= 1e-12 * wanted.abs().max()
    assert len(network.launches) == 3 * sum(blocks) + 6


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 2e-6), (torch.float16, 2e-3)], ids=["f32", "f16"])
def test_the_kernels_are_the_network(dtype: torch.dtype, allowed: float) -> None:
    model = drawn(19, (3, 3), bias=True)
    frames = drawn_frames(1, 35, 77)
    plain = exact_scores(model, frames, RGB)
    error = allowed * float(plain.abs().max())
    with torch.no_grad():
        assert model.classifier.bias is not None
        model.classifier.bias -= plain.mean((0, 2, 3))  # every class wins somewhere; errors stay what they are
    network = network_for(model, frames, RGB, dtype)
    network.run()
    wanted = exact_scores(model, frames, RGB)
    assert (network.scores.cpu() - wanted).abs().max() <= error
    first, second = F.interpolate(wanted, size=(35, 77), mode="bilinear").topk(2, dim=1).values.unbind(1)
    sure = first - second > 2 * error
    labels = F.interpolate(wanted, size=(35, 77), mode="bilinear").argmax(1)
    assert sure.double().mean() > (0.99 if dtype == torch.float32 else 0.8)
    assert len(set(labels.flatten().tolist())) > 9
    assert torch.equal(network.labels.cpu()[sure], labels[sure].to(torch.uint8))


def test_what_lay_in_the_buffers_before_does_not_count() -> None:
    model = drawn(3, (2, 2))
    network = network_for(model, drawn_frames(1, 21, 18), RGB, torch.float16)
    network.run()
    scores, labels = network.scores.clone(), network.labels.clone()
    for launch in network.launches:
        _spoil(launch)
    network.run()
    assert torch.equal(network.scores, scores)
    assert torch.equal(network.labels, labels)


def _spoil(launch: Launch) -> None:
    """NaN in all that a launch writes."""
    for name in launch.writes:
        value = launch.arguments[name]
        assert isinstance(value, torch.Tensor)
        value.fill_(float("nan") if value.is_floating_point() else 255)
