"""From a checkpoint and a data set to the input contract to use, and the flags that choose it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cgnet_deploy.contracts import CONTRACTS, model_spec
from cgnet_deploy.data.dataset import check_classes, fit_frame, scored_images
from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.doctor.candidates import Candidate, alike, candidates
from cgnet_deploy.doctor.contract_search import ContractSearch, search
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.evaluation import Labeller
from cgnet_deploy.spec import InputSpec, ModelSpec, Res

if TYPE_CHECKING:  # torch is optional, and slow to import
    from cgnet_deploy.checkpoint.reading import Network


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """own: the contract that the commands use for this file by default, None where they would ask for one.

    named: the contract to use: the file's own if nothing is better, else the best.
    """

    path: Path
    network: str
    frames: int
    search: ContractSearch
    own: InputSpec | None
    named: Candidate

    @property
    def own_is_right(self) -> bool:
        return self.own is not None and alike(self.own, self.named.spec)

    @property
    def flags(self) -> str:
        """What to pass to cgnet-export; empty if it uses the right contract by default."""
        if self.own_is_right:
            return ""
        spec = self.named.spec
        name = next((name for name, known in CONTRACTS.items() if alike(known, spec)), None)
        if name is not None:
            return f"--contract {name}"
        mean, std = (",".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
        return f"--color {spec.color} --mean {mean} --std {std}"


def diagnose(
    ckpt: Path, data: str, split: str, frames: int, res: Res | None, threads: int | None, weights: str | None = None
) -> Diagnosis:
    """Try every candidate on some of the data's frames. weights: of a file with several sets, as of `load_checkpoint`.

    Raises UserError for a file or data that can't be used.
    """
    require("torch", extra="export")
    from cgnet_deploy.checkpoint.reading import Checkpoint, read_network
    from cgnet_deploy.engines.torch import TorchEngine

    network = read_network(ckpt, weights)
    classes, blocks = network.model.classes, network.model.blocks
    dataset = open_dataset(data, split)
    check_classes(dataset, classes)
    spec = own_spec(network)
    own = spec.input if spec else None
    size = res or (own.res if own else Res(*dataset.frame(0).shape[:2]))
    count = min(frames, len(dataset))
    # a frame without a scored pixel has no mIoU, and can't rank contracts
    chosen = InMemory.of(dataset, scored_images(dataset, [i * len(dataset) // count for i in range(count)]))
    count = len(chosen)
    fitted = np.stack([fit_frame(frame, size) for frame, _ in chosen.samples])
    base = spec or model_spec(next(iter(CONTRACTS)), classes, blocks)

    def labeller(candidate: Candidate) -> Labeller:
        spec = replace(base, input=candidate.spec)
        checkpoint = Checkpoint(ckpt, network.model, spec, network.format, "", network.sha256, network.provenance)
        return TorchEngine(checkpoint, (1, *size), threads=threads).infer

    result = search(candidates(size, fitted, own), chosen, size, labeller)
    equals = [one.candidate for one in result.scores[: result.equals]]
    named = next((one for one in equals if own and alike(one.spec, own)), result.best.candidate)
    description = f"{network.format} format, M{blocks[0]}N{blocks[1]}, {classes} classes"
    return Diagnosis(ckpt, description, count, result, own, named)


def own_spec(network: Network) -> ModelSpec | None:
    """What every command uses for the file by default; None where a flag is needed."""
    from cgnet_deploy.checkpoint.settle import Overrides, settle

    model = network.model
    try:
        return settle(
            network.path, network.format, model.classes, model.blocks, network.spec, network.meta, Overrides()
        )
    except UsageError:
        return None
