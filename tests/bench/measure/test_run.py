"""The steps of a run that the command line's tests can't see from outside."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.accuracy.passes import accuracy_of
from cgnet_deploy.bench.machine.readings import Machine
from cgnet_deploy.bench.measure.rounds import load
from cgnet_deploy.bench.measure.run import common, first_frames
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res


@pytest.mark.shared
def test_the_official_weights_and_their_graph_are_right_on_the_same_pixels(shared: Path) -> None:
    checkpoint = str(shared / "checkpoints" / "cgnet_camvid_official.pth")
    graph = str(shared / "peers" / "exporter_graph_camvid_360x480.onnx")
    data = str(shared / "camvid")
    settings = Settings((checkpoint, graph), ("e2e",), threads=1, data=data)
    with ExitStack() as stack:
        first, second = (load(stack, settings, name, Machine()) for name in settings.engines)
        one, other = (accuracy_of(engine, data, settings, 2).confusion for engine in (first, second))
    assert one is not None
    assert other is not None
    assert (first.info.backend, second.info.backend) == ("torch", "onnxruntime")
    assert one.counts.sum() == other.counts.sum() > 300_000
    # Sums in another order flip labels where two classes tie: some of 345,600 pixels.
    assert np.abs(one.counts - other.counts).sum() < 100
    assert one.iou[3] > 0.9  # Road: with channels or mean in a wrong order it is not


def test_engines_must_agree_on_what_they_take() -> None:
    assert common("--batch", [("a", 2), ("b", 2)]) == 2
    with pytest.raises(UsageError, match="a takes 32x48, b takes 64x96: give one --res for all"):
        common("--res", [("a", Res(32, 48)), ("b", Res(64, 96))])


def test_all_engines_see_the_first_frames_of_the_data(camvid: Path) -> None:
    dataset = open_dataset(str(camvid), "val")
    for i, frame in enumerate(first_frames(dataset, Res(40, 48), 5)):
        assert np.array_equal(frame, dataset.frame(i % 3))  # three frames, gone through again


def test_without_data_frames_are_drawn_at_the_size_asked_for() -> None:
    frames = first_frames(None, Res(64, 96), 2)
    assert frames.shape == (2, 64, 96, 3)
    assert not np.array_equal(*frames)
    assert frames.std() > 10  # a street, not a grey wall
