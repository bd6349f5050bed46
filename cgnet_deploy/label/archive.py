"""What an archive holds: each picture and video, and where its masks go.

The mask of `street/a.jpg` is `masks/street/a.jpg.png`, those of the frames of `drive.mp4` are
`masks/drive.mp4/000000.png` and so on: `a.jpg` and `a.png` never meet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cgnet_deploy.data.images import IMAGE_SUFFIXES, is_system
from cgnet_deploy.data.mistaken import named_among
from cgnet_deploy.errors import DataError, one_line, require
from cgnet_deploy.files import matching

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".ts", ".mpg", ".mpeg", ".webm")
PATH_COLUMN = "path"


@dataclass(frozen=True, slots=True)
class Item:
    """path: of the file, absolute. name: relative to the archive, with forward slashes."""

    path: str
    name: str
    kind: Literal["picture", "video"]


def items_of(archive: str) -> list[Item]:
    """The pictures and videos of a folder (and its subfolders), of a glob pattern, or of a Parquet file, by name.

    A Parquet file names its files in a column `path`, absolute or relative to it; that may be an index of ours. Other
    files are counted in the log; hidden ones are passed over. Raises DataError if there is nothing to label.
    """
    if os.path.isdir(archive):
        root, paths = os.path.abspath(archive), sorted(_files_below(archive))
    elif archive.lower().endswith(".parquet"):
        paths = sorted(set(_paths_in_parquet(Path(archive))))
        root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    else:
        found = [archive] if os.path.isfile(archive) else matching(archive)
        paths = sorted(os.path.abspath(path) for path in found if os.path.isfile(path))
        root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
        paths = [path for path in paths if not any(map(is_system, Path(os.path.relpath(path, root)).parts))]
    items = [item for path in paths if (item := _item(path, root))]
    taken = {item.path for item in items}
    others = [Path(path) for path in paths if path not in taken]
    if items and others:
        log.warning("%s: %d files are neither pictures nor videos%s", archive, len(others), named_among(others))
    if not items:
        kinds = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
        raise DataError(
            f"{archive} holds no picture and no video ({kinds}); wanted a folder, a glob or a Parquet file"
            f"{named_among(others)}"
        )
    return items


def _files_below(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):  # links to folders are not followed, so no circle is walked
        folders[:] = [name for name in folders if not is_system(name)]
        yield from (os.path.abspath(os.path.join(parent, name)) for name in names if not is_system(name))


def _paths_in_parquet(table: Path) -> Iterable[str]:
    parquet = require("pyarrow.parquet", extra="archive")
    try:
        column = parquet.read_table(table, columns=[PATH_COLUMN])[PATH_COLUMN].to_pylist()
    except Exception as error:  # pyarrow raises its own kinds, OSError and KeyError for bad files
        raise DataError(f"{table} is not a Parquet file with a column {PATH_COLUMN!r}: {one_line(error)}") from error
    if not all(isinstance(path, str) and path for path in column):
        raise DataError(f"{table}: its column {PATH_COLUMN!r} must hold the path of a file in each row")
    return (os.path.abspath(table.parent / path) for path in column)


def _item(path: str, root: str) -> Item | None:
    suffix = os.path.splitext(path)[1].lower()
    name = os.path.relpath(path, root).replace(os.sep, "/")
    if suffix in IMAGE_SUFFIXES:
        return Item(path, name, "picture")
    return Item(path, name, "video") if suffix in VIDEO_SUFFIXES else None
