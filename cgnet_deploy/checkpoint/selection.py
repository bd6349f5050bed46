"""Which of a file's sets of weights is meant: the weights, unless their running average (EMA, SWA) is asked for.

What mmengine calls `ema_state_dict` is the opposite: before it saves, it swaps the average into `state_dict`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cgnet_deploy.checkpoint.wrappers import STATISTICS, Weights
from cgnet_deploy.errors import CheckpointError

log = logging.getLogger(__name__)

AVERAGE = re.compile(r"(?<![a-z])(ema|swa|avg|averaged?|shadow|polyak)(?![a-z])", re.IGNORECASE)
RAW, EMA = "raw", "ema"
MMENGINE_RAW = "ema_state_dict"
MMENGINE_COUNTER = "steps"
SHOWN, MAX_NAME = 6, 200  # a name is shown whole: people type it after --weights


def select(path: Path, sets: Sequence[Weights], wanted: str | None) -> Weights:
    """wanted: "ema", "raw", a set's name, or None: the only one, else the only one that is not called an average.

    What is passed over is logged. Raises CheckpointError where that leaves none, or more than one.
    """
    swapped = any(one.name == MMENGINE_RAW and MMENGINE_COUNTER in one.tensors for one in sets)
    averages = [one for one in sets if (one.name != MMENGINE_RAW if swapped else _is_average(one))]
    if wanted in (RAW, EMA):
        found = [one for one in sets if (one in averages) == (wanted == EMA)]
    elif wanted is not None:
        found = [one for one in sets if one.name == wanted]
    else:
        found = [one for one in sets if not _is_average(one)] or list(sets)
    if len(found) != 1:
        what = f"{len(found)} sets of weights" if found else "no weights"
        asked = f" called {wanted}" if wanted else ""
        choices = [EMA] * (len(averages) == 1) + [RAW] * (len(averages) == len(sets) - 1)
        raise CheckpointError(
            f"{path} holds {what}{asked}; choose with --weights {' or '.join([*choices, *map(_called, sets)][:SHOWN])}"
        )
    if len(sets) > 1 and wanted is None:
        rest = [one for one in sets if one is not found[0]]
        other = EMA if found[0] not in averages else RAW
        log.warning(
            f"{path} holds {len(sets)} sets of weights: using {_called(found[0])}"
            f"{', the running average' if found[0] in averages else ''}, not {', '.join(map(_called, rest[:SHOWN]))}; "
            f"--weights {other} chooses the {'average' if other == EMA else 'other'}"
        )
    return _with_statistics(path, found[0], sets)


def _with_statistics(path: Path, chosen: Weights, sets: Sequence[Weights]) -> Weights:
    """An average of the parameters alone has BatchNorm's statistics in the weights that it was made of."""
    if any(key.endswith(STATISTICS) for key in chosen.tensors):
        return chosen
    for other in sets:
        theirs = {key: value for key, value in other.tensors.items() if key.endswith(STATISTICS)}
        if theirs and other.tensors.keys() - theirs.keys() == chosen.tensors.keys():
            log.info(f"{path}: {_called(chosen)} has no statistics of BatchNorm: they are those of {_called(other)}")
            return replace(chosen, tensors={**chosen.tensors, **theirs})
    return chosen


def _is_average(weights: Weights) -> bool:
    return AVERAGE.search(weights.name) is not None or "n_averaged" in {*weights.tensors, *weights.outside}


def _called(weights: Weights) -> str:
    return repr(weights.name[:MAX_NAME]) if weights.name else "'' (the outermost)"
