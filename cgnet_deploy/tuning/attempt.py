"""Go on without a candidate that can't."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cgnet_deploy.errors import CgnetError, NoSpace

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempt:
    """why: it failed, in words; empty if it did not."""

    why: str = ""


@contextmanager
def attempt(name: str) -> Iterator[Attempt]:
    """What is done for the candidate `name`: a CgnetError becomes the reason why it failed, and is logged.

    Raises NoSpace, for a full disk condemns no candidate: all would fail.
    """
    tried = Attempt()
    try:
        yield tried
    except NoSpace:
        raise
    except CgnetError as error:
        log.warning(f"{name}: {error}")
        tried.why = str(error)
