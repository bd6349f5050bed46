"""What every command line shares: flags, exit codes, "did you mean", and the log on stderr.

stdout carries results only. Everything else goes to the log, which a command shows on stderr: `-q` only warnings,
`-v` everything. Nothing below a command prints.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import io
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import NoReturn, TextIO

from cgnet_deploy import __version__
from cgnet_deploy.errors import CgnetError, UsageError
from cgnet_deploy.interrupts import prompt_interrupts
from cgnet_deploy.places import FULL, STDOUT
from cgnet_deploy.progress import display
from cgnet_deploy.spec import Res, Triple
from cgnet_deploy.threads import heed_quota

# Help of --weights.
WEIGHTS = "which weights of a checkpoint that holds several sets: ema (the running average), raw, or a set's name"

EMPTY = re.compile("(--[a-z-]+=)?")
NO_TEMPORARY = "No usable temporary directory"  # as Python's tempfile says it, for packages too


class Parser(argparse.ArgumentParser):
    """argparse with "did you mean" for flags, no abbreviated flags, and a one-line error."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
        volume = self.add_mutually_exclusive_group()
        volume.add_argument(
            "-q",
            "--quiet",
            dest="log_level",
            action="store_const",
            const=logging.WARNING,
            default=logging.INFO,
            help="show only warnings and errors on stderr",
        )
        volume.add_argument(
            "-v",
            "--verbose",
            dest="log_level",
            action="store_const",
            const=logging.DEBUG,
            help="show details on stderr",
        )

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        words = sys.argv[1:] if args is None else args
        if any(EMPTY.fullmatch(word) for word in words):  # as a path, it would be the current folder
            self.error("an argument is empty: is a variable of the shell unset?")
        # Before argparse complains that a required flag is missing, which may be the misspelt one.
        for word in takewhile(lambda word: word != "--", words):
            flag = word.split("=")[0]
            if flag.startswith("--") and flag not in self._option_string_actions:
                near = difflib.get_close_matches(flag, self._option_string_actions, n=1)
                hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
                self.error(f"{flag} is not an option of {self.prog}: {hint}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def run(parser: Parser, command: Callable[[argparse.Namespace], int], argv: Sequence[str] | None = None) -> int:
    """Parse `argv` (default: the process's own) and call `command`, as `guarded`, with the log shown on stderr."""

    def body() -> int:
        args = parser.parse_args(argv)
        try:
            os.getcwd()
        except OSError as error:  # MKL would end the process, in words about PyTorch's files
            raise UsageError(
                f"the current folder can't be used: {error.strerror}; was it removed? cd to another"
            ) from error
        heed_quota()
        # One line of ours says what is wrong with a bad file. OpenCV reads this once it is imported.
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        with log_to_stderr(args.log_level), display():
            return command(args)

    return guarded(parser.prog, body)


def guarded(prog: str, body: Callable[[], int]) -> int:
    """The exit code of `body()`. A CgnetError becomes one line on stderr and its exit code, Ctrl-C 130."""
    for stream in (sys.stdout, sys.stderr):  # a file may have a name that the terminal has no letters for
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with prompt_interrupts() as interrupts:
            try:
                code = body()
            except Exception as error:
                if interrupts.received:  # what became of it
                    raise KeyboardInterrupt from error
                raise
            if interrupts.received:
                raise KeyboardInterrupt
            if sys.stdout is not None:  # closed by `>&-`
                sys.stdout.flush()  # at exit, Python would report a full disk in its own words
        return code
    except CgnetError as error:
        _say(plain(f"{prog}: error: {error}"))
        return error.exit_code
    except KeyboardInterrupt:
        _say(f"{prog}: interrupted")
        return 130
    except MemoryError as error:  # as under `ulimit -v`; numpy's says for what
        _say(plain(f"{prog}: error: there is too little memory{f': {error}' if str(error) else ''}"))
        return 1
    except BrokenPipeError:  # the reader of stdout went away, as `| head` does
        _drop(sys.stdout)
        return 1
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            _say(plain(f"{prog}: error: {error.filename}: {error.strerror}"))
            return 2
        if NO_TEMPORARY in str(error):
            _say(plain(f"{prog}: error: {error.strerror}; TMPDIR names a folder for temporary files"))
            return 2
        if error.errno not in (*FULL, errno.EIO):
            raise  # a bug
        _drop(sys.stdout)
        _say(f"{prog}: error: the output can't be written: {error.strerror}")
        return 1


def plain(line: str) -> str:
    """One line, whatever a file in it is called: what moves a terminal's cursor is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _say(line: str) -> None:
    """On stderr; where that is closed (None) or full, the exit code has to do."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{line}\n")  # at once: Ctrl-C may come between two writes
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Let what is left in a stream that can't be written go nowhere: Python flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def show(text: str, *outputs: Path | None) -> None:
    """Print a result to stdout; to stderr where one of the outputs has stdout."""
    if STDOUT in outputs:
        _say(text)
    else:
        print(text)


class _Stderr(logging.Handler):
    """Writes to the current sys.stderr, looked up each time: a progress bar replaces it to keep lines above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        _say(plain(f"{mark}{record.getMessage()}"))


@contextmanager
def log_to_stderr(level: int) -> Iterator[None]:
    """Show what the package logs at `level` and above, one plain line each."""
    logger, handler = logging.getLogger("cgnet_deploy"), _Stderr(level)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def add_contract_flags(parser: argparse._ActionsContainer) -> None:
    """--names, --mean, --std and --color: what a file that doesn't say it was trained with."""
    add = parser.add_argument
    text = "class names, one per line, each with a colour if you like: road 128,64,128"
    add("--names", type=Path, metavar="FILE", help=text)
    for flag, what in (("--mean", "mean"), ("--std", "standard deviation")):
        text = f"{what} of each channel, on the 0 to 255 scale, in the order of --color"
        add(flag, type=triple_argument, metavar="A,B,C", help=text)
    add("--color", choices=("rgb", "bgr"), help="the channel order that the network was trained on")


def res_argument(text: str) -> Res:
    """argparse type of `--res`."""
    try:
        return Res.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def integer(least: int, most: int) -> Callable[[str], int]:
    """argparse type: an integer in a range."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 12 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be an integer between {least} and {most}, not {text!r}")
        return int(text)

    return parse


def number(least: float, most: float) -> Callable[[str], float]:
    """argparse type: a number in a range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a number between {least:g} and {most:g}, not {text!r}")
        return value

    return parse


def triple_argument(text: str) -> Triple:
    """argparse type of `--mean` and `--std`: one number per channel, separated by commas."""
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers such as 72.4,82.9,73.2") from None
    return first, second, third
