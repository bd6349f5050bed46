"""What a path names is told, or the system's refusal is; Python's own answers differ from version to version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.checkpoint.unparsed import read_unparsed
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.plan import read_plan, read_trusted
from cgnet_deploy.errors import ArtifactError, CheckpointError, DataError
from cgnet_deploy.lookup import exists, is_dir, is_file, no_file
from cgnet_deploy.video.source import open_source

TOO_LONG = Path("x" * 300)  # refused whoever asks; root may enter every folder


def test_what_is_there_is_told_through_links(tmp_path: Path) -> None:
    (file := tmp_path / "a").write_bytes(b"")
    (tmp_path / "file").symlink_to(file)
    (tmp_path / "folder").symlink_to(tmp_path)
    for path in (file, tmp_path / "file"):
        assert (exists(path), is_file(path), is_dir(path), no_file(path)) == (True, True, False, None)
    for path in (tmp_path, tmp_path / "folder"):
        assert (exists(path), is_file(path), is_dir(path), no_file(path)) == (True, False, True, "is not a file")
    os.mkfifo(tmp_path / "fifo")
    assert no_file(tmp_path / "fifo") == "is not a file"


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    for path in (tmp_path / "b", tmp_path / "a" / "b", tmp_path / "dangling", tmp_path / "circle", Path("a\0b")):
        assert (exists(path), is_file(path), is_dir(path), no_file(path)) == (False, False, False, "does not exist")


@pytest.mark.parametrize("url", ["https://a.org/b.pth", "s3://a/b.onnx", "file:///a/b.pth"])
def test_a_url_is_no_file(url: str) -> None:
    assert no_file(Path(url)) == "is a URL: download the file first"
    assert no_file(Path("C:/a.pth")) == "does not exist"


def test_what_the_system_refuses_is_not_called_missing() -> None:
    for look in (exists, is_file, is_dir):
        with pytest.raises(OSError, match="File name too long"):
            look(TOO_LONG)
    assert no_file(TOO_LONG) == "can't be read: File name too long"


def test_every_reader_says_why_a_file_can_not_be_read() -> None:
    refused = f"{TOO_LONG} can't be read: File name too long"
    for read in (read_artifact, read_plan, read_trusted):
        with pytest.raises(ArtifactError, match=refused):
            read(TOO_LONG)
    with pytest.raises(CheckpointError, match=refused):
        read_unparsed(TOO_LONG)
    with pytest.raises(DataError, match=refused):
        open_dataset(str(TOO_LONG), "val")
    with pytest.raises(DataError, match=refused):
        open_source(str(TOO_LONG))
