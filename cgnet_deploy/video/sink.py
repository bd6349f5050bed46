"""Where pictures go: a folder, a window, or a video (videofile.py). Each is a context manager that ends it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import cv2

from cgnet_deploy.errors import CgnetError, UsageError
from cgnet_deploy.files import write_bytes
from cgnet_deploy.pixels import U8
from cgnet_deploy.places import check_folder, make_folder

# write(picture, index, time_s) -> whether more are wanted
Write = Callable[[U8, int, float], bool]
Sink = AbstractContextManager[Write]

KEYS_THAT_END = (27, ord("q"))
FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class PngFolder:
    """000000.png, 000001.png, ... by the frame's number in its source; a missing folder is created."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        check_folder(folder)
        make_folder(folder)

    def __call__(self, picture: U8, index: int, time_s: float) -> bool:
        _, content = cv2.imencode(".png", picture, FAST_PNG)
        write_bytes(self._folder / f"{index:06d}.png", content.tobytes())
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Window:
    """A window on the screen; q, Esc or closing it ends the run."""

    def __init__(self, title: str) -> None:
        # Where there is no screen, Qt raises nothing: it aborts the process.
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and os.name == "posix":
            raise UsageError("--output window: there is no screen here; give a file or a folder")
        self._title = title

    def __call__(self, picture: U8, index: int, time_s: float) -> bool:
        try:
            cv2.imshow(self._title, picture)
            if cv2.waitKey(1) & 0xFF in KEYS_THAT_END:
                return False
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error as error:
            raise CgnetError("this OpenCV can't open windows; install opencv-python, not its headless form") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        cv2.destroyAllWindows()
