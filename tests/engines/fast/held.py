"""Each kernel beside its reference, on the very same values: the kernel in f32 or f16, the reference in float64.

Where there is no GPU the kernels are interpreted (tests/conftest.py). What a kernel leaves unwritten stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cgnet_deploy.engines.fast.fold import Conv, Gate, Join, Joint
from cgnet_deploy.engines.fast.launch import Launch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISIONS = pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["f32", "f16"])
# Of the largest value. f16 has 11 bits: an operand is off by 5e-4 of itself at most, and so is a result.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3}


class Drawn:
    """Tensors from one seed: in the types that a kernel takes, or `exact`, the same values in float64."""

    def __init__(self, dtype: torch.dtype, *, exact: bool) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.dtype, self.exact = dtype, exact

    def _drawn(self, sides: tuple[int, ...], kind: torch.dtype, scale: float, mean: float = 0.0) -> Tensor:
        values = (torch.randn(sides, generator=self.generator, dtype=torch.float64) * scale + mean).to(kind)
        return (values.double() if self.exact else values).to(DEVICE)

    def map(self, *sides: int) -> Tensor:
        return self._drawn(sides, self.dtype, 1.0)

    def operand(self, *sides: int) -> Tensor:
        """Of a matrix product: sums stay near 1."""
        return self._drawn(sides, self.dtype, (sides[0] * sides[1] if len(sides) == 3 else sides[0]) ** -0.5)

    def vector(self, *sides: int, mean: float = 0.2) -> Tensor:
        """Biases, slopes and scales of both signs."""
        return self._drawn(sides, torch.float32, 0.5, mean)

    def gate(self, *sides: int) -> Tensor:
        return self.vector(*sides).sigmoid()

    def frames(self, *sides: int) -> Tensor:
        return torch.randint(0, 256, sides, generator=self.generator, dtype=torch.uint8).to(DEVICE)

    def empty(self, *sides: int) -> Tensor:
        return torch.full(sides, float("nan"), dtype=torch.float64 if self.exact else self.dtype, device=DEVICE)

    def sums(self, *sides: int) -> Tensor:
        return torch.full(sides, float("nan"), dtype=torch.float64 if self.exact else torch.float32, device=DEVICE)

    def conv(self, taps: int, c_in: int, c_out: int) -> Conv:
        return Conv(self.operand(taps, c_in, c_out), self.vector(c_out), self.vector(c_out))

    def join(self, c: int) -> Join:
        return Join(self.vector(c), self.vector(c), self.vector(c))

    def columns(self, mean: float = 0.2) -> Tensor:
        """(32,): of each of an image's three channels."""
        return torch.cat([self.vector(3, mean=mean).repeat(9), self.vector(5, mean=mean)])

    def image_join(self) -> Join:
        return Join(self.columns(), self.columns(), self.columns())

    def joint(self, c: int) -> Joint:
        return Joint(self.vector(18, c), self.vector(2 * c), self.vector(2 * c))

    def gate_weights(self, c_in: int, c: int) -> Gate:
        return Gate(self.vector(8, c_in, mean=0.0), self.vector(8), self.vector(c, 8), self.vector(c))


def hold(build: Callable[[Drawn], Launch], dtype: torch.dtype) -> None:
    """Run what `build` makes of drawn tensors, and its reference, and compare all that either writes."""
    launch, exact = build(Drawn(dtype, exact=False)), build(Drawn(dtype, exact=True))
    launch.run()
    exact.reference()
    for name in launch.writes:
        got, wanted = launch.arguments[name], exact.arguments[name]
        assert isinstance(got, Tensor)
        assert isinstance(wanted, Tensor)
        assert got.isfinite().all(), f"{name} is not all written"
        assert wanted.std() > 0.01 if wanted.numel() > 100 else True, f"{name} shows nothing"
        error = float((got - wanted).abs().max() / wanted.abs().max())
        assert error <= TOLERANCE[dtype], f"{name} is off by {error:.1e}"
