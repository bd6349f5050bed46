"""From a fused f32 graph to a lower precision, for a set of its convolutions.

Any of them may be kept in f32, which is how guard.py buys accuracy back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from cgnet_deploy.codec import to_json
from cgnet_deploy.export.calibrate import correct, retrain
from cgnet_deploy.export.half import to_half
from cgnet_deploy.export.quantize import Storage, quantize
from cgnet_deploy.export.ranges_file import Origin, Ranges
from cgnet_deploy.export.sites import Site
from cgnet_deploy.spec import Precision

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lowering:
    """sites: the convolutions to lower. macs: of all convolutions for an image, 0 where the size is open.

    Of int8: ranges; storage of activations; raw_results, whether those get a pair too; trunk, whether everything that
    is stored is int8; fallback_precision, the type of what is not int8. f16_overflow: nodes that the range of f16 keeps
    in f32.
    """

    precision: Precision
    sites: tuple[Site, ...] = ()
    macs: int = 0
    ranges: Ranges | None = None
    storage: Storage = "s8"
    raw_results: bool = False
    trunk: bool = False
    fallback_precision: Precision = Precision.F32
    f16_overflow: frozenset[str] = NOTHING

    def calibrated(self, ranges: Ranges) -> Lowering:
        """With ranges, and without the convolutions whose raw results should have a pair and can't (raw_results.py)."""
        able = tuple(site for site in self.sites if not self.raw_results or site.name in ranges.scales.results)
        return replace(self, sites=able, ranges=ranges)

    @property
    def known_ranges(self) -> Ranges:
        """`ranges`, or ValueError where nothing was calibrated."""
        if self.ranges is None:
            raise ValueError("this lowering has no ranges: calibrate first")
        return self.ranges

    def apply(self, fused: ir.Model, keep: frozenset[str] = NOTHING) -> ir.Model:
        """A lowered copy of `fused`, but for the convolutions named in `keep`."""
        model = fused.clone()
        if self.ranges is not None:
            names = [site.name for site in self.sites if site.name not in keep]
            retrain(model, {name: kernel for name, kernel in self.ranges.kernels.items() if name in names})
            correct(model, {name: self.ranges.bias[name] for name in names})
            scales = self.ranges.scales
            quantize(
                model,
                {name: scales.reads[name] for name in names},
                self.storage,
                results={name: scales.results[name] for name in names} if self.raw_results else None,
                added=scales.added if self.trunk else None,
            )
        if self.precision is Precision.F16:
            to_half(model, self.f16_overflow | keep)
        elif self.fallback_precision is Precision.F16:  # kept out of int8: f16 costs it nothing
            to_half(model, self.f16_overflow)
        return model

    def share(self, keep: frozenset[str] = NOTHING) -> float | None:
        """The part of the multiply-adds that is lowered, 0 to 1; None where the size is open."""
        return sum(site.macs for site in self.sites if site.name not in keep) / self.macs if self.macs else None

    def int8_report(self, keep: frozenset[str] = NOTHING) -> Int8Report | None:
        """What int8 takes, None where nothing was quantised."""
        if self.ranges is None:
            return None
        return Int8Report(
            tuple(site.name for site in self.sites if site.name not in keep),
            self.share(keep),
            self.storage,
            self.raw_results,
            self.trunk,
            self.fallback_precision,
            self.ranges.origin,
        )


@dataclass(frozen=True, slots=True)
class Int8Report:
    """How much of the network int8 takes, and what it was calibrated on.

    macs_share: of the multiply-adds, 0 to 1, None where the size is open. fallback_precision: of everything else.
    """

    convolutions: tuple[str, ...]
    macs_share: float | None
    activations: Storage
    raw_results: bool
    trunk: bool
    fallback_precision: Precision
    calibration: Origin

    def summary(self) -> str:
        """One line."""
        macs = "" if self.macs_share is None else f", {self.macs_share:.1%} of the multiply-adds"
        return (
            f"int8: {len(self.convolutions)} convolutions{macs}; the rest {self.fallback_precision.value}; "
            f"ranges: {self.calibration.summary()}"
        )

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = to_json(self)
        fields["rest"] = fields.pop("fallback_precision")
        return fields
