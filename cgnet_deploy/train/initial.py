"""The network that training starts from: fresh weights, or those of a checkpoint of any classes.

The classifier is a matrix of one row a class. A row is carried over where the two class tables share a name (exact, but
for upper and lower case), and drawn anew where they don't; everything below it is carried over as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.checkpoint.reading import load_checkpoint, read_network
from cgnet_deploy.errors import UsageError
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import InputSpec
from cgnet_deploy.train.learner import fresh
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.revive import revive

log = logging.getLogger(__name__)

SHOWN = 12  # class names in a line of the log


@dataclass(frozen=True, slots=True)
class Initial:
    """A checkpoint to start from. names: of its classes; input: its contract; () and None where nothing gives them."""

    path: Path
    model: CGNet
    names: tuple[str, ...]
    input: InputSpec | None

    @classmethod
    def read(cls, path: Path, weights: str | None = None) -> Initial:
        """weights: of a file with several sets, as of `load_checkpoint`. Raises CheckpointError."""
        try:
            checkpoint = load_checkpoint(path, weights=weights)
        except UsageError:  # training can do without what export can't
            log.warning(f"{path} doesn't say what its input is: the data set's mean and deviation are used")
            network = read_network(path, weights)
            names = network.meta.names or ()
            return cls(path, network.model, names if len(names) == network.model.classes else (), None)
        return cls(path, checkpoint.model, checkpoint.spec.class_names, checkpoint.spec.input)


def started(recipe: Recipe, names: Sequence[str], init: Initial | None) -> CGNet:
    """For the classes `names`. Raises UsageError if the depth of `init` isn't the recipe's."""
    if init is None:
        return fresh(recipe, len(names))
    if init.model.blocks != recipe.blocks:
        raise UsageError(
            f"{init.path} has blocks {init.model.blocks}, the recipe {recipe.blocks}; "
            f"--set blocks={init.model.blocks[0]},{init.model.blocks[1]}"
        )
    model, rows = fresh(recipe, len(names)), matches(names, init.names)
    weights = init.model.state_dict()
    for key, new in model.classifier.state_dict().items():
        old = weights.get(f"classifier.{key}")
        for ours, theirs in rows.items():
            new[ours] = 0.0 if old is None else old[theirs]  # no bias is one of 0
        weights[f"classifier.{key}"] = new
    model.load_state_dict({key: weights[key] for key in model.state_dict()})
    _say(init, names, rows)
    if recipe.revive:
        revive(model, recipe.seed)
    return model


def matches(names: Sequence[str], known: Sequence[str]) -> dict[int, int]:
    """Index in `names` -> index in `known` of the same name; of two that differ in case only, the exact one."""
    exact = {name: i for i, name in reversed(list(enumerate(known)))}
    folded = {name.casefold(): i for i, name in reversed(list(enumerate(known)))}
    found = {i: exact.get(name, folded.get(name.casefold())) for i, name in enumerate(names)}
    return {ours: theirs for ours, theirs in found.items() if theirs is not None}


def _say(init: Initial, names: Sequence[str], rows: dict[int, int]) -> None:
    carried = [name for i, name in enumerate(names) if i in rows]
    drawn = [name for i, name in enumerate(names) if i not in rows]
    log.info(
        f"{init.path}: its {init.model.classes} classes -> {len(names)}; classifier carried over for {_some(carried)}; "
        f"drawn anew for {_some(drawn)}"
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more
