"""Frames to calibrate on: pictures of a folder, the train split of a data set, or drawn scenes. No labels are read.

They are spread evenly over what there is, so that the same folder always gives the same frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cgnet_deploy.data.images import entries, images_in, pictures_of, read_image
from cgnet_deploy.data.opening import accessible, open_dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.lookup import is_dir
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.progress import track
from cgnet_deploy.spec import InputSpec, Res
from cgnet_deploy.threads import in_threads

LEAST_FRAMES = 8  # docs/int8.md: 16 do as well as 128, a single one does not


@dataclass(frozen=True, slots=True)
class CalibrationFrames:
    """Frames of one size, read again at each pass: many of them fill a machine's memory.

    read: number -> (name, (H, W, 3) u8 BGR). numbers: which ones.
    """

    read: Callable[[int], tuple[str, U8]]
    numbers: tuple[int, ...]
    res: Res

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[U8]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> U8:
        """Raises DataError for a frame of another size or of one colour."""
        name, frame = self.read(self.numbers[index])
        if frame.shape[:2] != tuple(self.res):
            raise DataError(
                f"{name} is {Res(*frame.shape[:2])}, the network takes {self.res}: ranges depend on the size; "
                "resize the calibration frames as your video is resized, or give --res"
            )
        if (frame == frame[0, 0]).all():
            raise DataError(f"{name} is of one colour: it shows no range of a feature; calibrate on real frames")
        return frame

    def check(self, index: int) -> None:
        """Raises DataError as reading the frame would."""
        self[index]

    def batches(self, batch: int, spec: InputSpec, stride: int = 1) -> Iterator[F32]:
        """(batch, 3, H, W) normalised tensors of each `stride`-th frame; the first ones fill the last batch up."""
        frames = islice(self, 0, None, stride)
        first: list[U8] = []
        while group := list(islice(frames, batch)):
            first = first or group
            filled = (group + first * batch)[:batch]
            yield to_tensor(np.stack(filled), spec)


def calibration_frames(where: str, count: int, res: Res) -> CalibrationFrames:
    """At most `count` frames of `where`: a folder of pictures, a data set's root, or scenes[:SEED[:HxW]].

    Raises DataError, before any is fed to a network, where there are too few or one can't be used.
    """
    folder = Path(where)
    with accessible(where):
        has_pictures = is_dir(folder) and bool(pictures_of(entries(folder)))
    if has_pictures:
        paths = images_in(folder)
        read, total = (lambda i: (str(paths[i]), read_image(paths[i]))), len(paths)
    else:
        dataset = open_dataset(f"{where}:0:{res}" if where == "scenes" else where, "train")
        read, total = (lambda i: (dataset.identifier(i), dataset.frame(i))), len(dataset)
    if total < LEAST_FRAMES:
        raise DataError(f"{where} has {total} frames; calibration wants {LEAST_FRAMES} at least, 16 to 128 are good")
    taken = min(count, total)
    frames = CalibrationFrames(read, tuple(i * total // taken for i in range(taken)), res)
    for _ in track(in_threads(frames.check, range(taken)), taken, f"checking {where}"):
        pass
    return frames
