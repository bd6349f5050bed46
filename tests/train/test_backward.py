"""The layers with a backward pass of ours, against PyTorch's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cgnet_deploy.train.backward import with_fast_backward
from tests.networks import drawn


@pytest.mark.parametrize("shape", [(2, 3, 48, 64), (1, 3, 41, 53), (2, 3, 9, 8)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_gradients_are_pytorch_s(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    """Of the whole network, at sizes that no dilation divides and at one smaller than it."""
    plain = drawn(blocks=(3, 3)).to(memory_format=layout).train()  # type: ignore[call-overload]  # not in torch's stubs
    fast = copy.deepcopy(plain)
    with_fast_backward(fast)
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in fast.named_parameters()]
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    answers = [_learned(model, image) for model in (plain, fast)]
    assert torch.equal(answers[0], answers[1])
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        error = float((one.grad - other.grad).norm() / one.grad.norm().clamp(min=1e-6))
        assert error < 1e-4, name  # float32, through nine blocks


def _learned(model: nn.Module, image: Tensor) -> Tensor:
    answer: Tensor = model(image)
    (answer * torch.linspace(-1, 1, answer.numel()).view_as(answer)).sum().backward()  # type: ignore[no-untyped-call]
    return answer.detach()


def test_prelu_at_zero_takes_the_lower_slope_as_pytorch_does() -> None:
    x = torch.tensor([-2.0, 0.0, 3.0]).view(1, 1, 1, 3).repeat(1, 2, 1, 1)
    grads: list[tuple[Tensor | None, Tensor | None]] = []
    for replaced in (False, True):
        prelu, leaf = nn.PReLU(2, 0.1), x.clone().requires_grad_()
        layer = nn.Sequential(prelu)
        if replaced:
            with_fast_backward(layer)
            assert type(layer[0]) is not nn.PReLU
        layer(leaf).sum().backward()
        grads.append((leaf.grad, prelu.weight.grad))
    for plain, fast in zip(*grads, strict=True):
        assert plain is not None
        assert fast is not None
        assert torch.equal(plain, fast)
