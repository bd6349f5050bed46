"""What `open_engine` was asked for, and how it meets what a file is made for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.artifact import Shape
from cgnet_deploy.contracts import ClassTable, known_as
from cgnet_deploy.engines.base import shape_text
from cgnet_deploy.errors import UsageError
from cgnet_deploy.names import read_names
from cgnet_deploy.spec import Color, ModelSpec, Triple

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user says of a file that doesn't say it itself; None for what isn't said.

    table: names and colours of the classes. mean, std, color: as in `InputSpec`; one that is None is the contract's.
    trust: load a plan that no sidecar vouches for. weights: which set of a checkpoint that holds several.
    """

    contract: str | None = None
    table: ClassTable | None = None
    mean: Triple | None = None
    std: Triple | None = None
    color: Color | None = None
    trust: bool = False
    weights: str | None = None

    @classmethod
    def of(
        cls,
        contract: str | None,
        names: str | Path | None,
        mean: Triple | None,
        std: Triple | None,
        color: Color | None,
        trust: bool,
        weights: str | None,
    ) -> Hints:
        """With the classes that the file `names` lists. Raises UsageError if it can't be used."""
        return cls(contract, None if names is None else read_names(Path(names)), mean, std, color, trust, weights)


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Request:
    """path: of the file. chosen: the user named a backend. shape: the wanted (N, H, W), None where the file decides.

    hints: of a file from outside. threads, profile, cache: as in `open_engine`.
    """

    path: Path
    chosen: bool = True
    shape: Shape = (None, None, None)
    threads: int | None = None
    hints: Hints = NO_HINTS
    profile: bool = False
    cache: bool = False

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
        """Raise UsageError if the file, which has its own contract, was made for another."""
        if any((self.hints.table, self.hints.mean, self.hints.std, self.hints.color)):
            log.info(f"{self.path} says itself what its classes and its input are: --names, --mean, ... are for others")
        if (wanted := self.hints.contract) is not None and (own := known_as(spec.input)) != wanted:
            raise UsageError(
                f"{self.path} was made for the input contract {own}, not {wanted}; export it again for that"
            )
