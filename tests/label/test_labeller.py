"""One worker alone: what a damaged video lacks stands in its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.label.archive import Item
from cgnet_deploy.label.labeller import Labeller
from cgnet_deploy.video.segmenter import Segmenter
from tests.video.clips import clip, drawn

WEIGHTS = Path(__file__).resolve().parents[2] / "cgnet_deploy" / "weights"


@pytest.mark.parametrize(
    ("suffix", "container", "kept"), [("ts", "mpegts", 0.8), ("mkv", "matroska", 0.8), ("ts", "mpegts", 1.0)]
)
def test_what_a_video_lacks_is_recorded(suffix: str, container: str, kept: float, tmp_path: Path) -> None:
    path = clip(tmp_path / f"a.{suffix}", drawn(60, 72, 96), codec="libx264", format=container)
    content = path.read_bytes()
    hole = len(content) // 3 // 188 * 188
    path.write_bytes(content[:hole] + content[hole + int(len(content) * (1 - kept)) // 188 * 188 :])
    labeller = Labeller(lambda: Segmenter(WEIGHTS / "scenes.pth", res="72x96", threads=1), str(tmp_path / "out"))
    *labelled, last = labeller.video(Item(str(path), "a", "video"))
    if kept == 1:
        assert last.error is None
        return
    assert last.error is not None
    assert f"of its frames {60 - len(labelled)} missing by their time stamps" in last.error
    assert all(row.mask for row in labelled)
