"""One Segmenter and four threads under AddressSanitizer and ThreadSanitizer: the labels of one thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from tests.engines.cpp.conftest import Sanitized
from tests.engines.graphs import drawn_frames

FRAMES = drawn_frames(8, 40, 56)


@pytest.mark.parametrize("contexts", [1, 3])
@pytest.mark.parametrize("network", ["frames_onnx", "tensor_onnx"])
def test_four_threads_get_the_labels_of_one(
    network: str, contexts: int, sanitized: Sanitized, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(network)
    frames, labels = tmp_path / "frames", tmp_path / "labels"
    FRAMES.tofile(frames)
    # Two frames a call, all rows with a gap behind them: a crop of a larger picture.
    done = sanitized.run(sanitized.driver, path, frames, "8", "40", "56", "4", str(contexts), "2", "32x48", labels)
    assert done.returncode == 0, done.stderr
    with open_engine(f"openvino:{path}", threads=1) as engine:
        expected = engine.infer(FRAMES[:, :32, :48])
    labelled = np.fromfile(labels, np.uint8).reshape(4, *expected.shape)
    for of_thread in labelled:
        np.testing.assert_array_equal(of_thread, expected)


def test_frames_that_do_not_fit_are_one_line(sanitized: Sanitized, frames_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").write_bytes(bytes(40 * 56 * 3))
    shape = ("1", "40", "56", "1", "1", "1")
    done = sanitized.run(sanitized.driver, frames_onnx, tmp_path / "frames", *shape, "40x57", tmp_path / "labels")
    assert done.returncode == 2
    assert done.stderr == "a frame 40x57 whose rows are 168 bytes apart; wanted 3 bytes a pixel\n"
