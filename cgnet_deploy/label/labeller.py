"""One worker of `label_archive`: an engine that is loaded once, and batches of files to label with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cgnet_deploy.data.images import read_image
from cgnet_deploy.errors import CgnetError, DataError, FrameError, one_line
from cgnet_deploy.files import write_bytes
from cgnet_deploy.label.archive import Item
from cgnet_deploy.label.index import Index, IndexRow
from cgnet_deploy.pixels import U8
from cgnet_deploy.places import make_folder
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.source import Picture, flaws, open_source

MASKS = "masks"


class Labeller:
    """A callable class for Ray Data's `map_batches`: rows {path, name, kind} in, one row {masks, unreadable} out."""

    def __init__(self, opens: Callable[[], Segmenter], output: str) -> None:
        self.segmenter = opens()
        self.spec = self.segmenter.info.spec
        self.output = Path(output)
        self.index = Index(self.output, self.spec.class_names)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """How many of a batch were labelled; or an error's class and text, since Ray loses both on the way."""
        items = [Item(str(p), str(n), k) for p, n, k in zip(batch["path"], batch["name"], batch["kind"], strict=True)]
        try:
            self.label(items)
        except CgnetError as error:
            return _table(0, type(error).__name__, str(error))
        return _table(len(items))

    def label(self, items: list[Item]) -> None:
        rows = [*self.pictures([item for item in items if item.kind == "picture"])]
        for item in items:
            if item.kind == "video":
                rows += self.video(item)
        self.index.add(rows)

    def pictures(self, items: list[Item]) -> Iterator[IndexRow]:
        """Label pictures together, so that an engine with a batch is filled."""
        frames: list[tuple[Item, U8]] = []
        for item in items:
            try:
                frames.append((item, read_image(Path(item.path))))
            except DataError as error:
                yield IndexRow(item.path, error=one_line(error))
        for item, frame, labels in self._labelled(frames):
            yield self._row(item, None, f"{item.name}.png", frame, labels)

    def video(self, item: Item) -> Iterator[IndexRow]:
        """Label each frame of a video, as far as it can be read."""
        number = -1
        try:
            source = open_source(item.path)
            pictures: Iterator[Picture] = iter(source)
            with self.segmenter.stream(picture.pixels for picture in pictures) as stream:
                for done in stream:
                    number = done.index
                    yield self._row(item, number, f"{item.name}/{number:06d}.png", done.frame, done.labels)
            if source.trouble is not None:
                yield IndexRow(item.path, number + 1, error=one_line(source.trouble))
            elif lacking := flaws(source.missing, source.damaged):
                yield IndexRow(item.path, number + 1, error=f"of its frames {lacking}: the file is damaged")
        except (DataError, FrameError) as error:
            yield IndexRow(item.path, number + 1, error=one_line(error))

    def _labelled(self, frames: list[tuple[Item, U8]]) -> Iterator[tuple[Item, U8, U8]]:
        try:
            labels = self.segmenter.segment_batch([frame for _, frame in frames])
            yield from ((item, frame, its) for (item, frame), its in zip(frames, labels, strict=True))
        except FrameError:  # one of them: each is tried alone, and only that one has no mask
            if len(frames) == 1:
                raise
            for one in frames:
                yield from self._labelled([one])

    def _row(self, item: Item, frame: int | None, name: str, pixels: U8, labels: U8) -> IndexRow:
        mask = self.output / MASKS / name
        make_folder(mask.parent)
        write_bytes(mask, palette_png(labels, self.spec))
        counts = np.bincount(labels.ravel(), minlength=self.spec.classes)
        shares = tuple((counts / labels.size).tolist())
        height, width = labels.shape
        margin = self.segmenter.mean_margin(pixels)
        return IndexRow(item.path, frame, f"{MASKS}/{name}", height, width, shares, margin)


def _table(items: int, error: str = "", message: str = "") -> dict[str, Any]:
    return {"items": np.array([items]), "error": np.array([error]), "message": np.array([message])}


def palette_png(labels: U8, spec: ModelSpec) -> bytes:
    """(H, W) u8 labels as a PNG whose palette has the colours of the classes; its indices are the labels."""
    image = Image.fromarray(labels)
    image.putpalette([value for colour in spec.palette for value in colour])
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1)
    return buffer.getvalue()
