"""The index of a labelled archive: one row a mask, or the reason why there is none.

    index.parquet       everything that earlier runs have done
    .parts/*.parquet    what a run has done so far: one file a batch, written after the batch's masks

A run starts by reading both, so what is in them is never done again; it ends by merging the parts into the index. A
batch whose part is missing is done anew and gives the same files. Each file is replaced atomically.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cgnet_deploy.errors import DataError, one_line, require
from cgnet_deploy.files import replacing
from cgnet_deploy.places import make_folder

INDEX = "index.parquet"
PARTS = ".parts"


@dataclass(frozen=True, slots=True)
class IndexRow:
    """path: of the picture or video. frame: its number in a video, None of a picture.

    mask: relative to the output folder, None if `error` says why there is none. shares: of the pixels, one a class.
    margin: mean over the pixels of the highest logit less the second, None where the engine gives labels only.
    """

    path: str
    frame: int | None = None
    mask: str | None = None
    height: int | None = None
    width: int | None = None
    shares: tuple[float, ...] = ()
    margin: float | None = None
    error: str | None = None


class Index:
    """The index in `folder`, of a network with these classes."""

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self.folder, self.class_names = folder, tuple(class_names)

    def done(self) -> set[str]:
        """The paths that need no more work."""
        return {row["path"] for row in self._rows()}

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Keep the rows of one batch, whose masks are all written."""
        digest = hashlib.sha256("\n".join(row.path for row in rows).encode()).hexdigest()
        parts = self.folder / PARTS
        make_folder(parts)
        self._write(parts / f"{digest[:24]}.parquet", [_flat(row, self.class_names) for row in rows])

    def merge(self) -> tuple[int, int]:
        """Merge the parts into the index; the number of its masks, and of its rows without one."""
        unique = {(row["path"], row["frame"]): row for row in self._rows()}
        rows = [unique[key] for key in sorted(unique, key=lambda key: (key[0], -1 if key[1] is None else key[1]))]
        self._write(self.folder / INDEX, rows)
        for part in self._parts():
            part.unlink(missing_ok=True)
        failed = sum(row["mask"] is None for row in rows)
        return len(rows) - failed, failed

    def _parts(self) -> list[Path]:
        return sorted((self.folder / PARTS).glob("*.parquet"))

    def _rows(self) -> Iterable[dict[str, Any]]:
        parquet = require("pyarrow.parquet", extra="archive")
        for path in (self.folder / INDEX, *self._parts()):
            if path.exists():
                try:
                    table = parquet.read_table(path, schema=self._schema())
                except Exception as error:  # pyarrow raises its own kinds, OSError and ValueError for bad files
                    raise DataError(f"{path} can't be read ({one_line(error)}); remove it to label anew") from error
                yield from table.to_pylist()

    def _write(self, path: Path, rows: list[dict[str, Any]]) -> None:
        pa, parquet = require("pyarrow", extra="archive"), require("pyarrow.parquet", extra="archive")
        with replacing(path) as temporary:
            parquet.write_table(pa.Table.from_pylist(rows, schema=self._schema()), temporary)

    def _schema(self) -> Any:
        pa = require("pyarrow", extra="archive")
        kinds = {
            "path": pa.string(),
            "frame": pa.int32(),
            "mask": pa.string(),
            "height": pa.int32(),
            "width": pa.int32(),
            "margin": pa.float32(),
            "error": pa.string(),
        }
        return pa.schema([*kinds.items(), *((name, pa.float32()) for name in share_columns(self.class_names))])


def share_columns(class_names: Sequence[str]) -> list[str]:
    """`share.Road`: a column for each class; a name that occurs twice gets its label behind it."""
    names = list(class_names)
    return [f"share.{name}" if names.count(name) == 1 else f"share.{name}.{i}" for i, name in enumerate(names)]


def _flat(row: IndexRow, class_names: Sequence[str]) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(row).items() if name != "shares"}
    shares = row.shares or (None,) * len(class_names)
    return fields | dict(zip(share_columns(class_names), shares, strict=True))
