"""Real frames as a video: the masks of every way are equal, and the lossless video's mIoU is the bench's."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.bench.cli import main as bench_main
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.export.cli import main as export_main
from cgnet_deploy.video.cli import main as video_main
from cgnet_deploy.video.segmenter import Segmenter
from tests.video.clips import clip, frames_of

FRAMES = 5  # each goes through the network three or four times


@pytest.fixture(scope="module")
def network(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("camvid") / "cgnet.onnx"
    checkpoint = str(shared / "checkpoints" / "cgnet_camvid_official.pth")
    flags = ["--target", "ort-cpu", "--prune-dead", "--no-engine", "--onnx", str(path)]
    assert export_main(["--ckpt", checkpoint, *flags]) == 0
    return str(path)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "codec", "container"), [("val.avi", "ffv1", "avi"), ("val.mp4", "libx264", "mp4")])
def test_masks_of_camvid_s_val(
    name: str, codec: str, container: str, network: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset(str(shared / "camvid"), "val")
    video = clip(Path(name), [dataset.frame(i) for i in range(FRAMES)], codec=codec, format=container)
    assert video_main(["--engine", network, "--input", name, "--masks", "masks"]) == 0
    masks = [
        np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8) for path in sorted(Path("masks").iterdir())
    ]
    frames = frames_of(video)
    assert len(masks) == len(frames) == FRAMES
    with Segmenter(network) as segmenter, open_engine(network) as engine:
        for mask, done in zip(masks, segmenter.stream(frames), strict=True):
            np.testing.assert_array_equal(mask, done.labels)
            np.testing.assert_array_equal(mask, engine.infer(done.frame[None])[0])
    if codec != "ffv1":
        return
    table = dataset.table
    total = Confusion.empty(len(table.names))
    for i, mask in enumerate(masks):
        total += Confusion.of(dataset.labels(i), mask, len(table.names), table.ignore_label)
    flags = ["--data", str(shared / "camvid"), "--limit", str(FRAMES), "--iterations", "1", "--duration", "0"]
    assert bench_main(["--engine", network, *flags, "--warmup", "0", "--json", "bench.json"]) == 0
    (row,) = json.loads(Path("bench.json").read_text())["rows"]
    assert total.miou == row["miou"]
    print(f"mIoU {total.miou}, bench {row['miou']}")
