"""Which mask belongs to which picture, and which pictures are train and val."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from cgnet_deploy.data.dataset import Pairs
from cgnet_deploy.data.images import IMAGE_SUFFIXES, entries, images_in, is_system, pictures_of
from cgnet_deploy.data.masks import MASK_SUFFIXES
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir, is_file

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
VAL_SHARE, SEED = 0.2, 0  # of a data set without splits
SHARED = f"it has no splits: {VAL_SHARE:.0%} of its pictures, drawn with seed {SEED}, are val, the others train"
MAX_TEXT_BYTES = 64 << 20


def parts(split: str) -> tuple[str, ...]:
    """ "trainval" is train, then val. DataError for a split that no data set has."""
    if split not in (*SPLITS, "trainval"):
        raise DataError(f"there is no split {split!r}; wanted train, val, test or trainval")
    return ("train", "val") if split == "trainval" else (split,)


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders of `folder` that are called as splits are."""
    called = {name: split for split, names in SPLITS.items() for name in names}
    found = {called.get(path.name.lower(), ""): path for path in entries(folder) if is_dir(path)}
    return {split: found[split] for split in SPLITS if split in found}


def pair_up(pictures: Sequence[Path], masks: Path, suffix: str = "") -> Pairs:
    """Each picture with the file of `masks` of its name and `suffix`. DataError if one is missing or left over."""
    found = defaultdict(list)
    for path in pictures_of(entries(masks)):
        found[path.stem].append(path)
    pairs = tuple((picture, mask_of(picture, found[picture.stem + suffix], masks)) for picture in pictures)
    names = {picture.stem + suffix for picture in pictures}
    if len(names) < len(pictures):
        raise DataError(
            f"{pictures[0].parent} holds {len(pictures)} pictures with {len(names)} names: two formats of one picture?"
        )
    if over := sorted(stem for stem in found if stem not in names):
        raise DataError(f"{found[over[0]][0]} has no picture in {pictures[0].parent} ({len(over)} such masks)")
    return pairs


def mask_of(picture: Path, candidates: Sequence[Path], where: Path) -> Path:
    """The one mask of a picture."""
    if not candidates:
        raise DataError(f"{picture} has no mask {picture.stem}{', '.join(MASK_SUFFIXES)} in {where}{_polygons(where)}")
    if len(candidates) > 1:
        raise DataError(f"{picture} has two masks: {candidates[0]} and {candidates[1].name}")
    return candidates[0]


def _polygons(where: Path) -> str:
    """Ultralytics' labels are polygons in text files, in a folder called labels."""
    if is_dir(where) and any(path.suffix == ".txt" for path in entries(where)):
        return "; polygons in text files are not read: export masks as PNG"
    return ""


def with_suffixes(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files that are called as `path`, with any of the suffixes, in lower or upper case."""
    names = [path.name + change(suffix) for suffix in suffixes for change in (str.lower, str.upper)]
    return [candidate for name in names if is_file(candidate := path.with_name(name))]


def named(folder: Path, name: str) -> Path:
    """The picture of `folder` that is called so, whatever its suffix."""
    found = with_suffixes(folder / name, IMAGE_SUFFIXES)
    if len(found) != 1:
        raise DataError(f"{folder} holds {len(found)} pictures called {name}; wanted one")
    return found[0]


def share(pairs: Pairs, split: str) -> Pairs:
    """The train or val part of a data set without splits, drawn by name: the same on every machine, in any order."""
    if split == "test":
        raise DataError("the data set has no split 'test'; it has no splits, so a share of it is val")
    if len(pairs) < 2:
        raise DataError(f"{pairs[0][0]} is the only picture; a share of two or more would be val")

    def drawn(pair: tuple[Path, Path]) -> bytes:
        return hashlib.sha256(f"{SEED}:{pair[0].stem}".encode()).digest()

    chosen = set(sorted(pairs, key=drawn)[: max(1, round(VAL_SHARE * len(pairs)))])
    return tuple(pair for pair in pairs if (pair in chosen) == (split == "val"))


def joined(split: str, one: Callable[[str], Pairs]) -> Pairs:
    """The pairs of a split, or of train and val."""
    return tuple(pair for part in parts(split) for pair in one(part))


def pictures_below(folder: Path) -> list[Path]:
    """The pictures of a folder and of its folders, sorted. A link in a circle is an error."""
    seen, found = set(), []
    for parent, folders, names in os.walk(folder, onerror=_unreadable, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            raise DataError(f"{parent} is a link in a circle, or a second way to {real}")
        seen.add(real)
        folders[:] = [name for name in folders if not is_system(name)]
        found += [Path(parent, name) for name in names]
    if not (pictures := pictures_of(found)):
        images_in(folder)  # says why
    return pictures


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} can't be read: {error.strerror}") from error


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not empty. DataError if it can't be read or has none."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8") from None
    if len(content) > MAX_TEXT_BYTES:
        raise DataError(f"{path} has more than {MAX_TEXT_BYTES} bytes")
    if not (lines := [line.strip() for line in text.splitlines() if line.strip()]):
        raise DataError(f"{path} is empty")
    return lines
