"""What is in an archive: pictures and videos by name, and what is passed over."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from cgnet_deploy.errors import DataError
from cgnet_deploy.label.archive import items_of


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for name in (
        "b.JPG",
        "a.png",
        "street/a.png",
        "street/drive.mp4",
        "notes.txt",
        ".hidden.png",
        "._a.png",
        ".git/x.png",
        "street/@eaDir/a.png",
        "__MACOSX/street/a.png",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_with_its_subfolders(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="cgnet_deploy"):
        items = items_of(str(archive))
    assert [(item.name, item.kind) for item in items] == [
        ("a.png", "picture"),
        ("b.JPG", "picture"),
        ("street/a.png", "picture"),
        ("street/drive.mp4", "video"),
    ]
    assert all(item.path == str(archive / item.name) for item in items)
    assert caplog.messages == [f"{archive}: 1 files are neither pictures nor videos"]


def test_a_circle_of_links_ends(archive: Path) -> None:
    (archive / "street" / "round").symlink_to(archive)
    assert len(items_of(str(archive))) == 4


def test_a_glob_pattern(archive: Path) -> None:
    assert [item.name for item in items_of(f"{archive}/**/*.png")] == ["a.png", "street/a.png"]


def test_a_pattern_in_a_folder_with_brackets_and_one_file(archive: Path) -> None:
    (archive / "a.png").rename(archive / "a [1].png")
    (other := archive.parent / "trip [2]").mkdir()
    (archive / "street").rename(other / "street")
    assert [item.name for item in items_of(f"{other}/**/*.png")] == ["a.png"]
    assert [item.name for item in items_of(f"{archive}/a [1].png")] == ["a [1].png"]


def test_the_paths_of_a_parquet_file(archive: Path) -> None:
    paths = ["street/a.png", str(archive / "a.png"), "street/a.png"]
    parquet.write_table(pa.table({"path": paths, "split": ["x"] * 3}), archive / "list.parquet")
    assert [item.name for item in items_of(str(archive / "list.parquet"))] == ["a.png", "street/a.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1 and no more", "is not a Parquet file with a column 'path'"),
        (pa.table({"image": ["a.png"]}), "is not a Parquet file with a column 'path'"),
        (pa.table({"path": ["a.png", None]}), "must hold the path of a file in each row"),
        (pa.table({"path": [7]}), "must hold the path of a file in each row"),
        (pa.table({"path": pa.array([], pa.string())}), "holds no picture and no video"),
    ],
)
def test_a_wrong_parquet_file_is_one_line(content: bytes | pa.Table, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        parquet.write_table(content, path)
    with pytest.raises(DataError, match=message) as caught:
        items_of(str(path))
    assert "\n" not in str(caught.value)


def test_an_archive_with_nothing_to_label(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture and no video"):
        items_of(str(tmp_path))
    with pytest.raises(DataError, match="holds no picture and no video"):
        items_of(f"{tmp_path}/*.png")
