"""Pixels on which engines differ, counted by margin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.accuracy.agreement import agreement, keep, margin
from cgnet_deploy.errors import CgnetError


def test_the_margin_is_the_lead_of_the_highest_logit() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((7, 5, 6)).astype(np.float32)
    ordered = np.sort(logits, axis=0)
    assert np.array_equal(margin(logits), ordered[-1] - ordered[-2])
    assert np.isinf(margin(logits[:1])).all()


def test_differing_pixels_are_counted_by_margin(tmp_path: Path) -> None:
    labels = np.zeros((4, 4), np.uint8)
    margins = np.array([[0.001] * 4, [0.05] * 4, [0.5] * 4, [5.0] * 4], np.float32)
    other = labels.copy()
    other[0, :3] = other[2, 1] = other[3, 3] = 9
    for name, kept in {"a": labels, "b": other}.items():
        (tmp_path / name).mkdir()
        keep(tmp_path / name, 0, kept, margins if name == "a" else None)
    found = agreement(tmp_path / "b", tmp_path / "a", 1)
    assert found.counts.tolist() == [[4, 3], [4, 0], [4, 1], [4, 1]]
    assert (found.differing, found.differing_clearly) == (5 / 16, 1 / 16)
    # Seen from b, whose margins nobody kept, there is one band.
    back = agreement(tmp_path / "a", tmp_path / "b", 1)
    assert back.counts.tolist() == [[16, 5]]
    assert (back.differing, back.differing_clearly) == (5 / 16, None)


def test_labels_that_are_gone_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CgnetError, match="can't be read"):
        agreement(tmp_path, tmp_path, 1)
