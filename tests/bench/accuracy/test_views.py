"""mIoU (ms+flip): the same labels as the trainer's, and who can't be measured so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cgnet_deploy
from cgnet_deploy.bench.accuracy.scores import ScoreOptions, score
from cgnet_deploy.bench.accuracy.views import Views
from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import UsageError
from cgnet_deploy.evaluation import scaled
from cgnet_deploy.spec import Res
from cgnet_deploy.train.evaluate import labeller, ms_flip_labeller
from tests.bench.conftest import WriteEngine

RES = Res(64, 96)


def test_the_size_of_a_view() -> None:
    assert scaled(Res(360, 480), 1.75) == Res(630, 840)


@pytest.fixture
def checkpoint() -> Path:
    """The shipped network: one that is drawn sees one class everywhere."""
    return Path(cgnet_deploy.__file__).parent / "weights" / "scenes.pth"


def test_labels_are_the_trainers_but_for_ties(checkpoint: Path) -> None:
    frame = open_dataset(f"scenes:0:{RES}", "val").frame(0)
    loaded = load_checkpoint(checkpoint)
    spec = replace(loaded.spec.input, res=RES)
    wanted = ms_flip_labeller(loaded.model.eval(), spec)(frame[None])[0]
    with Views(RES, lambda res: open_engine(str(checkpoint), res=res, batch=1, threads=1)) as views:
        found = views.labels(frame[None])[0]
    assert len(np.unique(wanted)) > 2
    assert (found == wanted).mean() > 0.9995
    once = labeller(loaded.model, spec)(frame[None])[0]
    assert (once == wanted).mean() < 0.95  # many views are not one


def test_an_engine_of_one_size_is_refused(write_engine: WriteEngine) -> None:
    path = write_engine("fixed.onnx", 0, sides=(1, 64, 96))
    with pytest.raises(UsageError, match=r"ms\+flip needs an engine that takes any size: .* takes N=1 H=64"):
        Views(RES, lambda res: open_engine(str(path), res=res, batch=1))


def test_an_engine_without_logits_is_refused(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(str(checkpoint), batch=1, threads=1)
    monkeypatch.setattr(type(engine), "logits", Engine.logits)
    with Views(RES, lambda res: engine) as views, pytest.raises(UsageError, match="gives labels"):
        views.labels(np.zeros((1, *RES, 3), np.uint8))


def test_the_accuracy_pass_counts_them_beside_the_labels_of_one_view(write_engine: WriteEngine, camvid: Path) -> None:
    dataset = open_dataset(str(camvid), "val")
    with open_engine(str(write_engine("road.onnx", 3, sides=(1, 40, 48))), threads=1) as engine:
        options = ScoreOptions("", "val", 3, views=True)
        scored = score(
            engine,
            (1, 40, 48),
            dataset,
            options,
            lambda done: None,
            lambda frames: np.zeros((1, 20, 24), np.uint8),  # half the size: labels are enlarged as others are
        )
    assert scored.views is not None
    assert scored.confusion is not None
    plain, views = scored.confusion, scored.views
    assert (plain.counts[:, 3].sum(), views.counts[:, 0].sum()) == (plain.counts.sum(), plain.counts.sum())
