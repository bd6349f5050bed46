"""`evaluate` from Python: engines and files, at their own size or another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cgnet_deploy
from cgnet_deploy import evaluate
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import DataError, UsageError
from tests.bench.conftest import WriteEngine

SCENES = Path(cgnet_deploy.__file__).parent / "weights" / "scenes.pth"


def always(label: int, camvid: Path, images: int) -> Confusion:
    val = open_dataset(str(camvid), "val")
    truth = [val.labels(i) for i in range(images)]
    return sum((Confusion.of(one, np.full_like(one, label), 11, 11) for one in truth), Confusion.empty(11))


def test_a_file_is_opened_and_compared_at_the_size_of_the_truth(write_engine: WriteEngine, camvid: Path) -> None:
    path = write_engine("road.onnx", 3, sides=(2, 40, 48))  # neither the batch nor the size of the data
    confusion = evaluate(path, camvid)
    assert np.array_equal(confusion.counts, always(3, camvid, 3).counts)
    assert np.array_equal(evaluate(f"ort:{path}", str(camvid), limit=2).counts, always(3, camvid, 2).counts)


def test_an_open_engine_stays_open(write_engine: WriteEngine, camvid: Path) -> None:
    with open_engine(write_engine("road.onnx", 3, sides=(1, 40, 48))) as engine:
        evaluate(engine, camvid, limit=1)
        assert engine.infer(np.zeros((1, 40, 48, 3), np.uint8)).shape == (1, 40, 48)


def test_frames_are_resized_to_what_was_asked_for() -> None:
    small, large = (evaluate(SCENES, "scenes:0:96x128", limit=2, res=res) for res in ("48x64", None))
    assert small.counts.sum() == large.counts.sum()
    assert small.miou < large.miou


def test_what_cannot_be_evaluated(camvid: Path, shared: Path) -> None:
    with pytest.raises(UsageError, match="limit 0: must be at least 1"):
        evaluate(SCENES, "scenes", limit=0)
    with pytest.raises(DataError, match="11 classes, the network has 19"):
        evaluate(shared / "fixtures" / "official_k19.pth", camvid)
