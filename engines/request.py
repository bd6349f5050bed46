"""What `open_engine` was asked for, and how it meets what a file is made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.artifact import Shape
from cgnet_deploy.contracts import known_as
from cgnet_deploy.engines.base import shape_text
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Request:
    """path: of the file. chosen: the user named a backend. shape: the wanted (N, H, W), None where the file decides.

    threads, contract, profile: as in `open_engine`.
    """

    path: Path
    chosen: bool = True
    shape: Shape = (None, None, None)
    threads: int | None = None
    contract: str | None = None
    profile: bool = False

    def shape_within(self, own: Shape) -> Shape:
        """The (N, H, W) to open a file for that takes `own`. Raises UsageError where it is fixed to another size."""
        if any(None not in (side, want) and side != want for side, want in zip(own, self.shape, strict=True)):
            raise UsageError(
                f"{self.path} takes {shape_text(own)}, not {shape_text(self.shape, free=False)}; "
                "export it again for the size that you want"
            )
        n, h, w = (want if side is None else side for side, want in zip(own, self.shape, strict=True))
        return n, h, w

    def check_contract(self, spec: ModelSpec) -> None:
        """Raise UsageError if the file was made for another input contract."""
        if self.contract is not None and (own := known_as(spec.input)) != self.contract:
            raise UsageError(
                f"{self.path} was made for the input contract {own}, not {self.contract}; export it again for that"
            )
