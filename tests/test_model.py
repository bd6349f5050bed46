"""The network against the published implementations' own outputs, and against its description."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.errors import UsageError
from cgnet_deploy.model import CGNet, Gate, halve, initialise
from cgnet_deploy.pixels import to_tensor
from tests.networks import drawn


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.shared
@pytest.mark.parametrize("name", ["official_k19", "mmseg_k19"])
def test_logits_are_those_of_the_published_implementations(shared: Path, name: str) -> None:
    pair = np.load(shared / f"fixtures/{name}_97x131.npz")
    model = load_checkpoint(shared / f"fixtures/{name}.pth").model
    x, wanted = torch.from_numpy(pair["input"]), torch.from_numpy(pair["logits"])
    scale = float(wanted.abs().max())
    with torch.inference_mode():
        # Sums in another order differ by a few 1e-6 of the largest logit; a wrong eps or order by far more.
        assert float((model(x) - wanted).abs().max()) <= 1e-5 * scale
        # In f64 only the rounding of the published f32 run is left.
        assert float((model.double()(x.double()) - wanted).abs().max()) <= 2e-6 * scale


@pytest.mark.shared
def test_released_weights_read_a_street_and_overflow_with_the_eps_of_torch(shared: Path) -> None:
    checkpoint = load_checkpoint(shared / "checkpoints/cgnet_camvid_official.pth")
    assert accuracy(checkpoint, shared) > 0.95
    for module in checkpoint.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5
    assert accuracy(checkpoint, shared) < 0.1


def accuracy(checkpoint: Checkpoint, shared: Path) -> float:
    """The share of labelled pixels that are right on one frame of CamVid's val split."""
    frame = cv2.imread(str(shared / "camvid/val/0016E5_07959.webp"))
    truth = cv2.imread(str(shared / "camvid/valannot/0016E5_07959.png"), cv2.IMREAD_UNCHANGED)
    assert frame is not None
    assert truth is not None
    x = to_tensor(frame[None].astype(np.uint8), checkpoint.spec.input)
    with torch.inference_mode():
        labels = checkpoint.model(torch.from_numpy(x)).argmax(1)[0].numpy()
    return float((labels == truth)[truth != checkpoint.spec.ignore_label].mean())


def test_parameter_counts_are_the_paper_s() -> None:
    assert parameters(CGNet(19)) == 496_306
    assert parameters(CGNet(11)) == 494_258


@pytest.mark.parametrize("classes", [1, 11, 255])
@pytest.mark.parametrize("blocks", [(2, 2), (6, 12), (3, 9)])
@pytest.mark.parametrize("bias", [False, True])
def test_parameter_count_follows_the_formula(classes: int, blocks: tuple[int, int], bias: bool) -> None:
    m, n = blocks
    wanted = 241_346 + 4_008 * (m - 1) + 12_104 * (n - 1) + 256 * classes + bias * classes
    assert parameters(CGNet(classes, blocks, bias)) == wanted


@settings(max_examples=25)
@given(
    height=st.integers(1, 75),
    width=st.integers(1, 75),
    classes=st.integers(1, 20),
    m=st.integers(2, 4),
    n=st.integers(2, 4),
)
def test_every_size_and_depth_gives_logits_of_the_input_s_size(
    height: int, width: int, classes: int, m: int, n: int
) -> None:
    model = drawn(classes, (m, n))
    x = torch.randn(1, 3, height, width)
    with torch.inference_mode():
        assert model.scores(x).shape == (1, classes, math.ceil(height / 8), math.ceil(width / 8))
        logits = model(x)
    assert logits.shape == (1, classes, height, width)
    assert torch.isfinite(logits).all()


def test_images_of_a_batch_do_not_see_each_other() -> None:
    model, x = drawn().double(), torch.randn(3, 3, 41, 57, dtype=torch.float64)
    with torch.inference_mode():
        together, alone = model(x), torch.cat([model(image[None]) for image in x])
    # f64 rounding only: a batch may be summed in another order.
    assert torch.allclose(together, alone, rtol=0, atol=1e-10 * float(alone.abs().max()))


@pytest.mark.parametrize("bias", [False, True])
def test_every_parameter_is_trained(bias: bool) -> None:
    model = drawn(bias=bias).train()
    model(torch.randn(2, 3, 33, 47)).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_pool_divides_by_nine_at_the_border_too() -> None:
    pooled = halve(torch.ones(1, 1, 5, 4))[0, 0]
    assert torch.allclose(pooled * 9, torch.tensor([[4.0, 6.0], [6.0, 9.0], [4.0, 6.0]]))


def test_gate_scales_each_channel_of_each_image_by_one_number_between_0_and_1() -> None:
    x = torch.rand(2, 64, 5, 7) + 0.5
    ratio = (Gate(64)(x) / x).flatten(2)
    assert torch.allclose(ratio, ratio[..., :1])
    assert ((ratio > 0) & (ratio < 1)).all()


@pytest.mark.parametrize("blocks", [(1, 21), (3, 1), (3, 129)])
def test_depths_out_of_bounds_are_refused(blocks: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="each must be 2 to 128"):
        CGNet(19, blocks)


@pytest.mark.parametrize("classes", [0, 256])
def test_class_counts_out_of_bounds_are_refused(classes: int) -> None:
    with pytest.raises(UsageError, match="1 to 255"):
        CGNet(classes)


def test_official_initialisation() -> None:
    model = drawn()
    initialise(model, "official")
    assert deviation(model, "stage3.0.entry.conv") == pytest.approx((2 / (131 * 9)) ** 0.5, rel=0.02)
    assert deviation(model, "stage3.0.surround") == pytest.approx((2 / 9) ** 0.5, rel=0.1)
    assert deviation(model, "classifier") == pytest.approx((2 / 256) ** 0.5, rel=0.1)
    assert slopes(model) == {0.25}
    assert biases(model, "stage3.1.gate") > 0
    assert_fresh_batch_norms(model)


def test_mmseg_initialisation() -> None:
    model = drawn(bias=True)
    initialise(model, "mmseg")
    assert deviation(model, "stage3.0.entry.conv") == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    # Fan out ignores groups: 128 times smaller in variance than the official filters.
    assert deviation(model, "stage3.0.surround") == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.1)
    assert deviation(model, "classifier") == pytest.approx(0.01, rel=0.1)
    assert slopes(model) == {0.0}
    assert biases(model, "stage3.1.gate") == 0
    assert biases(model, "classifier") == 0
    assert_fresh_batch_norms(model)


def deviation(model: CGNet, layer: str) -> float:
    return float(model.get_parameter(f"{layer}.weight").detach().std())


def slopes(model: CGNet) -> set[float]:
    return {v for layer in model.modules() if isinstance(layer, nn.PReLU) for v in layer.weight.tolist()}


def biases(model: CGNet, part: str) -> float:
    named = model.get_submodule(part).named_parameters()
    return sum(float(p.detach().abs().sum()) for name, p in named if name.endswith("bias"))


def assert_fresh_batch_norms(model: CGNet) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert layer.running_mean is not None
            assert not layer.running_mean.any()
