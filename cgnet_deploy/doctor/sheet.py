"""A contact sheet: pictures from all over a data set, each beside its labels, and below them the legend."""

from __future__ import annotations

import cv2
import numpy as np

from cgnet_deploy.data.dataset import Dataset, fit_labels, sample
from cgnet_deploy.doctor.survey import DataSurvey
from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import U8, overlay
from cgnet_deploy.spec import InputSpec, ModelSpec, Res
from cgnet_deploy.video.paint import FONT, GROUND, INK, legend

PICTURES, COLUMNS = 12, 2
CELL = Res(240, 320)
CAPTION_PX = 20
ALPHA = 0.6


def sheet(survey: DataSurvey) -> bytes:
    """A PNG. Raises DataError if no picture can be shown."""
    table = survey.table
    # the input is not looked at: only names and colours are
    spec = ModelSpec(
        InputSpec((0, 0, 0), (1, 1, 1), "rgb", CELL), table.names, table.palette, table.ignore_label, (2, 2)
    )
    per_split = -(-PICTURES // len(survey.splits))
    cells = [
        cell(split.dataset, i, f"{name}/{split.dataset.identifier(i)}", spec)
        for name, split in survey.splits.items()
        for i in spread(len(split.dataset), per_split)
    ]
    if not cells:
        raise DataError(f"{survey.where} holds no picture to show")
    blank = np.full_like(cells[0], GROUND)
    cells += [blank] * (-len(cells) % COLUMNS)
    rows = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    strip = legend(spec, range(spec.classes), CELL.height * 2, rows[0].shape[1])
    done, content = cv2.imencode(".png", np.concatenate([*rows, strip]))
    if not done:
        raise DataError(f"{survey.where}: the contact sheet can't be encoded")
    return content.tobytes()


def spread(length: int, count: int) -> list[int]:
    """At most `count` of `length` numbers, evenly."""
    return [i * length // min(count, length) for i in range(min(count, length))]


def cell(dataset: Dataset, i: int, caption: str, spec: ModelSpec) -> U8:
    """(H, W, 3) u8 BGR: a caption, and below it the picture beside its overlay."""
    frame, labels = sample(dataset, i)
    scale = min(CELL.height / frame.shape[0], CELL.width / frame.shape[1])
    res = Res(max(1, int(frame.shape[0] * scale)), max(1, int(frame.shape[1] * scale)))
    small = np.asarray(cv2.resize(frame, (res.width, res.height), interpolation=cv2.INTER_AREA), np.uint8)
    painted = overlay(small, fit_labels(labels, res), spec, ALPHA)
    canvas = np.full((CAPTION_PX + CELL.height, 2 * CELL.width, 3), GROUND, np.uint8)
    for x, shown in ((0, small), (CELL.width, painted)):
        canvas[CAPTION_PX : CAPTION_PX + res.height, x : x + res.width] = shown
    cv2.putText(canvas, caption[:80], (4, CAPTION_PX - 6), FONT, 0.42, INK, 1, cv2.LINE_AA)
    return canvas
