"""What code bases put around a network's tensors: a dictionary around all of them, prefixes on their names.

{"model": ..., "epoch": 7}                  the official code
{"state_dict": ..., "meta": {...}}          mmsegmentation
module.stem.0.conv.weight                   training on several GPUs
classifier.1.conv.weight                    the official code where a dropout layer comes first
auxiliary_head.*, data_preprocessor.*       mmsegmentation, for training only
ema_*                                       mmsegmentation's running average, for training only
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgnet_deploy.checkpoint.keys import CLASSIFIER

AROUND = ("state_dict", "model")
GPUS_PREFIX = "module."
BEHIND_DROPOUT = {"classifier.1.conv.weight": f"{CLASSIFIER.official}.weight"}
TRAINING_ONLY = ("data_preprocessor.", "auxiliary_head.", "ema_")


def unwrap(loaded: Mapping[Any, Any]) -> tuple[Mapping[str, Any], Mapping[Any, Any]]:
    """The tensors in what a file of torch holds, and whatever is beside them."""
    for name in AROUND:
        if isinstance(loaded.get(name), dict):
            meta = loaded.get("meta")
            beside = {key: value for key, value in loaded.items() if key != name}
            return loaded[name], beside | (meta if isinstance(meta, dict) else {})
    return loaded, {}


def bare(names: Iterable[object]) -> list[str]:
    """The names of a network's tensors without what training on several GPUs, or with dropout, adds to them."""
    stripped = (str(name).removeprefix(GPUS_PREFIX) for name in names)
    return [BEHIND_DROPOUT.get(name, name) for name in stripped]
