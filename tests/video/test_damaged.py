"""Damaged files, seeded: every picture that FFmpeg decodes comes, less one group of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.video.source import open_source
from tests.video.clips import clip, drawn
from tests.video.test_source import decoded, zeroed

GROUP = 12
SEEDS = 4


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) // 20, len(content)))]


def holed(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) // 20, len(content)))
    return content[:at] + content[at + int(len(content) * rng.uniform(0.01, 0.3)) :]


def blanked(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) // 50, len(content)))
    length = min(int(len(content) * float(rng.choice([0.001, 0.01, 0.1, 0.35]))), len(content) - at)
    return content[:at] + bytes(length) + content[at + length :]


def shuffled(content: bytes, rng: np.random.Generator) -> bytes:
    size = int(rng.choice([188 * 20, 4096, len(content) // 8]))
    head = min(size, len(content) // 10)
    parts = [content[i : i + size] for i in range(head, len(content), size)]
    i, j = rng.integers(0, len(parts), 2)
    parts[i], parts[j] = parts[j], parts[i]
    return content[:head] + b"".join(parts)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, frames = tmp_path_factory.mktemp("whole"), drawn(100)
    formats = {"mp4": "mp4", "mkv": "matroska", "ts": "mpegts", "avi": "avi"}
    return {
        suffix: clip(folder / f"a.{suffix}", frames, codec="libx264", format=name).read_bytes()
        for suffix, name in formats.items()
    }


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("damage", [cut, holed, blanked, shuffled])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_a_damaged_video(
    suffix: str,
    damage: Callable[[bytes, np.random.Generator], bytes],
    seed: int,
    whole: dict[str, bytes],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(damage(whole[suffix], np.random.default_rng(seed)))
    try:
        source = open_source(str(path))
        count = sum(1 for _ in source)
    except DataError:  # its index, or its header, is gone
        assert suffix == "mp4" or decoded(path) <= GROUP
        return
    assert count >= decoded(path) - GROUP
    assert 0 <= source.missing <= 110 - count


def test_a_gap_of_thousands_of_packets_is_no_end(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", drawn(3000, 32, 32), codec="libx264", format="mp4")
    zeroed(path, 0.2, 0.75)
    source = open_source(str(path))
    count = sum(1 for _ in source)
    assert count >= decoded(path) > 700
    assert source.missing == 3000 - count > 1000
