"""What every command line shares: errors to exit codes, "did you mean", sizes, progress.

stdout carries results only; everything said to a person goes to stderr.
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import NoReturn, TypeVar

from cgnet_deploy import __version__
from cgnet_deploy.errors import CgnetError, UsageError
from cgnet_deploy.spec import Res, Triple

T = TypeVar("T")


def say(text: str) -> None:
    """One line to the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """argparse with "did you mean" for flags, no guessing of shortened flags, and a one-line error."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.add_argument("--version", action="version", version=f"%(prog)s {__version__}")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        words = sys.argv[1:] if args is None else args
        for word in takewhile(lambda word: word != "--", words):  # before argparse misses what the wrong flag was for
            flag = word.split("=")[0]
            if flag.startswith("--") and flag not in self._option_string_actions:
                near = difflib.get_close_matches(flag, self._option_string_actions, n=1)
                hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
                self.error(f"{flag} is not an option of {self.prog}: {hint}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def res_argument(text: str) -> Res:
    """argparse type of `--res`."""
    try:
        return Res.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole(least: int, most: int) -> Callable[[str], int]:
    """argparse type: a whole number in a range."""

    def number(text: str) -> int:
        if not text.isdecimal() or len(text) > 12 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def real(least: float, most: float) -> Callable[[str], float]:
    """argparse type: a number in a range."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return number


def triple_argument(text: str) -> Triple:
    """argparse type of `--mean` and `--std`: three numbers, one a channel, with commas between."""
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers such as 72.4,82.9,73.2") from None
    return first, second, third


def cores() -> int:
    """How many this process may run on, which in a container is often fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def run(prog: str, body: Callable[[], int]) -> int:
    """`body()`, with an error of ours turned into one line on stderr and its exit code."""
    try:
        return body()
    except CgnetError as error:
        say(f"{prog}: error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"{prog}: interrupted")
        return 130
    except BrokenPipeError:  # the reader of stdout went away, as `| head` does
        sys.stderr.close()
        return 1


def progress(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Yield `items`, showing a bar on a terminal and a plain line at each quarter elsewhere. total: None if unknown."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description=label, total=total, console=Console(stderr=True), transient=True)
        return
    for done, item in enumerate(items, 1):
        yield item
        if total and total >= 20 and done * 4 // total > (done - 1) * 4 // total:
            say(f"{label}: {done}/{total}")
