"""The index of an archive: what is done is known after any stop, and each mask has one row."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.label.index import INDEX, PARTS, Index, IndexRow, share_columns

ROAD = IndexRow("/a.png", None, "masks/a.png.png", 2, 4, (0.75, 0.25), 1.5)
BAD = IndexRow("/b.png", error="cut")
DRIVE = [IndexRow("/d.mp4", frame, f"masks/d.mp4/{frame:06d}.png", 2, 4, (0.5, 0.5)) for frame in (0, 1)]


def test_parts_become_the_index(tmp_path: Path) -> None:
    index = Index(tmp_path, ("road", "sky"))
    index.add(DRIVE)
    index.add([ROAD, BAD])
    assert index.done() == {"/a.png", "/b.png", "/d.mp4"}
    assert index.merge() == (3, 1)
    assert not list((tmp_path / PARTS).iterdir())
    rows = parquet.read_table(tmp_path / INDEX).to_pylist()
    assert [(row["path"], row["frame"], row["mask"] is None) for row in rows] == [
        ("/a.png", None, False),
        ("/b.png", None, True),
        ("/d.mp4", 0, False),
        ("/d.mp4", 1, False),
    ]
    assert (rows[0]["share.road"], rows[0]["share.sky"], rows[0]["margin"]) == (0.75, 0.25, 1.5)
    assert (rows[1]["error"], rows[1]["share.road"]) == ("cut", None)


def test_a_batch_that_was_done_twice_has_one_row_each(tmp_path: Path) -> None:
    index = Index(tmp_path, ("road", "sky"))
    index.add([ROAD])
    index.merge()
    index.add([ROAD, BAD])  # as after a kill between the merge and the removal of the parts
    assert index.merge() == (1, 1)
    assert index.merge() == (1, 1)


def test_a_part_that_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    index = Index(tmp_path, ("road", "sky"))
    index.add([ROAD])
    (part,) = (tmp_path / PARTS).iterdir()
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"{part.name} can't be read .* remove it to label anew"):
        index.done()


def test_classes_that_share_a_name_have_columns_of_their_own() -> None:
    assert share_columns(["car", "road", "car"]) == ["share.car.0", "share.road", "share.car.2"]
