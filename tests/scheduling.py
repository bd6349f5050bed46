"""Which tests stay on one worker of pytest-xdist."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadFileScheduling

from tests.conftest import HERE, TOGETHER, within


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Those of a file, which share fixtures, and those of a folder of TOGETHER.

    Not by xdist_group, which has no effect with pytest 9.2 and pytest-xdist 3.8 (pytest-xdist #1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return within(Path(file).relative_to(HERE.name), TOGETHER) or file
