"""Samples in memory are those on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.data import memory
from cgnet_deploy.data.memory import InMemory, in_memory
from cgnet_deploy.data.opening import open_dataset
from tests.data.trees import camvid_tree


def test_samples_in_memory_are_the_data_set_s(tmp_path: Path) -> None:
    train = open_dataset(str(camvid_tree(tmp_path)), "train")
    held = in_memory(train)
    assert held is not train
    assert (held.name, held.table, len(held)) == (train.name, train.table, len(train))
    assert [held.identifier(i) for i in range(3)] == [train.identifier(i) for i in range(3)]
    assert np.array_equal(held.frame(2), train.frame(2))
    assert np.array_equal(held.labels(2), train.labels(2))


def test_a_choice_of_samples_is_numbered_from_0(tmp_path: Path) -> None:
    train = open_dataset(str(camvid_tree(tmp_path)), "train")
    held = InMemory.of(train, [2, 0])
    assert [held.identifier(i) for i in range(len(held))] == [train.identifier(2), train.identifier(0)]
    assert np.array_equal(held.frame(0), train.frame(2))


def test_a_large_data_set_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = open_dataset(str(camvid_tree(tmp_path)), "train")
    monkeypatch.setattr(memory, "MAX_BYTES", 1000)
    assert in_memory(train) is train
