"""The accuracy pass: what it counts, keeps and reports beside the confusion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.accuracy.agreement import agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.accuracy.scores import ScoreOptions, score
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Precision, Res
from tests.pictures import Pictures, random_labels


class FirstChannel(Engine):
    """Labels a pixel by the blue value of the frame; remembers the batches."""

    def __init__(self, batch: int, res: Res) -> None:
        spec = model_spec("camvid-official", 11, (3, 21))
        self.info = EngineInfo("test", "test", Precision.F32, spec, (batch, *res), "")
        self.fed: list[U8] = []

    def _load(self, frames: U8) -> None:
        self.fed.append(frames)

    def enqueue(self) -> None: ...

    def sync(self) -> None: ...

    def fetch(self) -> U8:
        return self.fed[-1][..., 0]

    def logits(self, frames: U8) -> F32:
        """The label's own logit is its number of hundredths above the others': class 5 wins by 0.05."""
        labels = frames[:, None, :, :, 0]
        classes = np.arange(11)[:, None, None]
        return np.where(classes == labels, labels / 100 + 0.001, 0).astype(np.float32)


def options(images: int, *, outlines: bool = False, keep: Path | None = None) -> ScoreOptions:
    return ScoreOptions("pictures", "val", images, outlines, keep, margins=keep is not None)


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_every_image_counts_once_whatever_the_batch(batch: int) -> None:
    rng = np.random.default_rng(0)
    data = Pictures(random_labels(rng, 11, 5), random_labels(rng, 12, 5))  # 11 is CamVid's void
    engine, counted = FirstChannel(batch, Res(32, 40)), list[int]()
    confusion = score(engine, (batch, 32, 40), data, options(5), counted.append).confusion
    assert confusion is not None
    wanted = np.zeros((11, 11), np.int64)
    for truth, predicted in zip(data.truth, data.predicted, strict=True):
        for t, p in zip(truth.ravel(), predicted.ravel(), strict=True):
            if t != 11:
                wanted[t, p] += 1
    assert np.array_equal(confusion.counts, wanted)
    assert {frames.shape for frames in engine.fed} == {(batch, 32, 40, 3)}
    assert counted == [1, 2, 3, 4, 5]


def test_outlines_are_counted_only_if_asked_for() -> None:
    truth = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((16, 16), np.uint8))
    data = Pictures([truth, truth], [truth, np.roll(truth, 1, axis=0)])
    plain = score(FirstChannel(1, Res(32, 48)), (1, 32, 48), data, options(2), lambda done: None)
    assert plain.outlines is None
    found = score(FirstChannel(1, Res(32, 48)), (1, 32, 48), data, options(2, outlines=True), lambda done: None)
    wanted = sum((Outlines.of(t, truth, 11, 11) for t in data.truth), Outlines.empty(11))
    assert found.outlines is not None
    assert np.array_equal(found.outlines.counts, wanted.counts)


def test_labels_and_margins_are_kept_for_comparing_engines(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    one, other = random_labels(rng, 11, 2), random_labels(rng, 11, 2)
    truth = random_labels(rng, 11, 2)
    for name, predicted in {"one": one, "other": other}.items():
        (tmp_path / name).mkdir()
        score(
            FirstChannel(2, Res(32, 40)),
            (2, 32, 40),
            Pictures(predicted, truth),
            options(2, keep=tmp_path / name),
            lambda done: None,
        )
    found = agreement(tmp_path / "other", tmp_path / "one", 2)
    both, differ = np.stack(one), np.stack(one) != np.stack(other)
    # Margins are hundredths of the label and a bit: label 0 below 0.01, 1 to 9 below 0.1, 10 below 1.
    bands = [both < 1, (both >= 1) & (both < 10), both >= 10]
    wanted = [[band.sum(), (band & differ).sum()] for band in bands]
    assert found.counts.tolist() == [*wanted, [0, 0]]
