"""From a checkpoint and a data set to a trial of input contracts, and to what to tell the user."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cgnet_deploy.checkpoint.keys import Format
from cgnet_deploy.contracts import CONTRACTS, contract_name, model_spec
from cgnet_deploy.data.dataset import check_classes, fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.doctor.candidates import Candidate, alike, candidates
from cgnet_deploy.doctor.contract_search import Trial, frames_needed, run_trial
from cgnet_deploy.errors import UsageError, require
from cgnet_deploy.pixels import U8
from cgnet_deploy.progress import track
from cgnet_deploy.spec import InputSpec, ModelSpec, Res


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """own: the contract that the commands take for this file by themselves, None where they would ask for one.

    named: the contract to use: the file's own if nothing is better, else the best.
    """

    path: Path
    network: str
    frames: int
    trial: Trial
    own: InputSpec | None
    named: Candidate

    @property
    def own_is_right(self) -> bool:
        return self.own is not None and alike(self.own, self.named.spec)

    @property
    def flags(self) -> str:
        """What to pass to cgnet-export; empty if it takes the right contract by itself."""
        if self.own_is_right:
            return ""
        spec = self.named.spec
        name = next((name for name, known in CONTRACTS.items() if alike(known, spec)), None)
        if name is not None:
            return f"--contract {name}"
        mean, std = (",".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
        return f"--color {spec.color} --mean {mean} --std {std}"


def diagnose(ckpt: Path, data: str, split: str, frames: int, res: Res | None, threads: int | None) -> Diagnosis:
    """Try every candidate on some of the data's frames. Raises UserError for a file or data that can't be used."""
    require("torch", extra="export")
    from cgnet_deploy.checkpoint.reading import Checkpoint, read_network
    from cgnet_deploy.engines.torch import TorchEngine

    network = read_network(ckpt)
    classes, blocks = network.model.classes, network.model.blocks
    dataset = open_dataset(data, split)
    check_classes(dataset, classes)
    own = own_contract(network.spec, network.format, classes, blocks)
    size = res or (own.res if own else Res(*dataset.frame(0).shape[:2]))
    numbers = [i * len(dataset) // min(frames, len(dataset)) for i in range(min(frames, len(dataset)))]
    samples = [(fit_frame(dataset.frame(i), size), dataset.labels(i)) for i in numbers]
    tries = candidates(size, np.stack([frame for frame, _ in samples]), own)
    base = network.spec or model_spec(next(iter(CONTRACTS)), classes, blocks)

    def label(candidate: Candidate, frame: U8) -> U8:
        spec = replace(base, input=candidate.spec)
        checkpoint = Checkpoint(ckpt, network.model, spec, network.format, "", network.sha256, network.provenance)
        with TorchEngine(checkpoint, (1, *size), threads=threads) as engine:
            labels: U8 = engine.infer(frame[None])[0]
            return labels

    total = frames_needed(len(tries), len(samples))
    ticks = track(range(total), total, "trying contracts")
    trial = run_trial(tries, samples, label, classes, dataset.table.ignore_label, lambda: next(ticks, None))
    group = [one.candidate for one in trial.tried[: trial.alike]]
    named = next((one for one in group if own and alike(one.spec, own)), trial.best.candidate)
    said = f"{network.format} format, M{blocks[0]}N{blocks[1]}, {classes} classes"
    return Diagnosis(ckpt, said, len(samples), trial, own, named)


def own_contract(spec: ModelSpec | None, fmt: Format, classes: int, blocks: tuple[int, int]) -> InputSpec | None:
    """What every command takes for the file unless it is told otherwise."""
    if spec is not None:
        return spec.input
    try:
        return model_spec(contract_name(fmt, classes), classes, blocks).input
    except UsageError:
        return None
