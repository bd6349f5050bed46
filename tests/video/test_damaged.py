"""Damaged files, by hand and seeded: every picture that FFmpeg decodes comes, less one group of pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.video.source import open_source
from tests.video.clips import clip, decoded, drawn, zeroed

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


@pytest.mark.parametrize(("codec", "container"), [("ffv1", "avi"), ("ffv1", "matroska"), ("libx264", "matroska")])
def test_a_cut_file_gives_what_is_there_and_says_so(codec: str, container: str, tmp_path: Path) -> None:
    path = clip(tmp_path / "a", drawn(40), codec=codec, format=container)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = open_source(str(path))
    count = len(list(source))
    assert 10 <= count < 30
    assert f"a is cut or damaged: {count} frames could be read, it announces 40" in str(source.trouble)


@pytest.mark.parametrize("start", [0.3, 0.45])
@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mp4"), ("mpeg4", "mp4"), ("libx264", "matroska"), ("libx264", "mpegts"), ("mpeg4", "avi")],
)
def test_a_hole_in_a_file_is_no_end(codec: str, container: str, start: float, tmp_path: Path) -> None:
    path = zeroed(clip(tmp_path / "a", drawn(60), codec=codec, format=container), start, start + 0.1)
    source = open_source(str(path))
    pictures = list(source)
    assert 25 < len(pictures) < 60  # releases of FFmpeg differ
    assert len(pictures) >= decoded(path)
    if container == "avi" or source.trouble:  # no time stamps, or an older FFmpeg, which ends a Matroska there
        assert "is cut or damaged" in str(source.trouble)
    else:
        assert source.missing == 60 - len(pictures)


def test_three_frames_that_an_avi_lacks_are_missed(tmp_path: Path) -> None:
    """By its time stamps an AVI shows no gap. FFmpeg encodes on one core what loses so few by this hole."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        path = clip(tmp_path / "a", drawn(60), codec="mpeg4", format="avi")
    finally:
        os.sched_setaffinity(0, cores)
    source = open_source(str(zeroed(path, 0.3, 0.4)))
    assert 57 <= len(list(source)) < 59
    assert "is cut or damaged" in str(source.trouble)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_packets_that_are_missing_are_counted(share: float, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.ts", drawn(60, 72, 96), codec="libx264", format="mpegts")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    packets = [content[i : i + 188] for i in range(0, len(content), 188)]
    path.write_bytes(b"".join(packet for packet in packets if rng.random() > share))
    source = open_source(str(path))
    count = len(list(source))
    assert decoded(path) <= count < 60
    assert 0 < source.missing <= 60 - count


def test_a_file_cut_before_its_index_can_t_be_opened(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", drawn(40), codec="libx264", format="mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # an MP4's index is at its end
    with pytest.raises(DataError, match=r"a\.mp4 is not a video that can be read"):
        open_source(str(path))


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
