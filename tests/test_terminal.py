"""What every command line shares: exit codes, hints, sizes, and the log."""

from __future__ import annotations

import argparse
import io
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cgnet_deploy.errors import (
    AccuracyError,
    CgnetError,
    CheckpointError,
    EngineUnavailable,
    MissingPackage,
    PerformanceError,
    UsageError,
)
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, guarded, res_argument, run, triple_argument
from tests.disks import READ_ONLY


def parser() -> Parser:
    made = Parser("cgnet-x", "For the tests.")
    made.add_argument("--engine", required=True)
    made.add_argument("--res", type=res_argument)
    made.add_argument("--mean", type=triple_argument)
    return made


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CgnetError, 1),
        (UsageError, 2),
        (CheckpointError, 2),
        (MissingPackage, 2),
        (AccuracyError, 3),
        (PerformanceError, 4),
        (EngineUnavailable, 5),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: type[CgnetError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> int:
        raise error("what came, what was wanted")

    assert guarded("cgnet-x", body) == code
    assert capsys.readouterr() == ("", "cgnet-x: error: what came, what was wanted\n")


@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb.png", "a\\nb.png"), ("\x1b[2Ja", "\\x1b[2Ja"), ("\udcff", "\\udcff"), ("ö 街", "ö 街")]
)
def test_a_message_is_one_line_whatever_a_file_is_called(
    name: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(_: argparse.Namespace) -> int:
        logging.getLogger("cgnet_deploy").warning(f"skipping {name}")
        raise UsageError(f"{name} does not exist")

    assert run(parser(), command, ["--engine", "x"]) == 2
    assert capsys.readouterr().err == f"warning: skipping {shown}\ncgnet-x: error: {shown} does not exist\n"


def test_a_message_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or Ctrl-C between a line and its end puts two messages on one line."""
    written: list[str] = []

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    def body() -> int:
        raise UsageError("what came")

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert guarded("cgnet-x", body) == 2
    assert written == ["cgnet-x: error: what came\n"]


def test_a_bug_is_not_reported_as_the_user_s_error() -> None:
    def body() -> int:
        raise KeyError("mean")

    with pytest.raises(KeyError):
        guarded("cgnet-x", body)


def test_a_current_folder_that_was_removed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MKL would end the process, with a line about PyTorch's files."""
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(parser(), lambda _: 0, ["--engine", "/a.onnx"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "cgnet-x: error: the current folder can't be used: No such file or directory; was it removed? cd to another\n"
    )


def test_an_interrupt_ends_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        raise KeyboardInterrupt

    assert guarded("cgnet-x", body) == 130
    assert capsys.readouterr().err == "cgnet-x: interrupted\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engin", "a.onnx"], "--engin is not an option of cgnet-x: did you mean --engine?"),
        (["--engin=a.onnx"], "--engin is not an option of cgnet-x: did you mean --engine?"),
        (["--engine", "a.onnx", "--zzzzzz"], "--zzzzzz is not an option of cgnet-x: see cgnet-x --help"),
        (["--eng", "a.onnx"], "--eng is not an option"),  # a shortened flag would change its meaning with the next one
        ([], "the following arguments are required: --engine"),
        (["--engine", "a.onnx", "--res", "1024"], "resolution '1024' is not HEIGHTxWIDTH in pixels, such as 1024x2048"),
        (["--engine", "a.onnx", "--mean", "1,2"], "'1,2' is not three numbers such as"),
        (["--engine", ""], "an argument is empty: is a variable of the shell unset?"),
        (["--engine="], "an argument is empty"),
        (["--engine", "a.onnx", "--", ""], "an argument is empty"),
        (["--engine", "a.onnx", "--", "--zzz"], "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_is_explained(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parser().parse_args(words)
    assert message in str(caught.value)


def test_a_right_command_line_is_read() -> None:
    args = parser().parse_args(["--engine=a.onnx", "--res", "360x480", "--mean", "1,2.5,-3"])
    assert args == argparse.Namespace(log_level=logging.INFO, engine="a.onnx", res=Res(360, 480), mean=(1.0, 2.5, -3.0))


@pytest.mark.parametrize(
    ("flags", "shown"),
    [([], "read\nwarning: odd\n"), (["-q"], "warning: odd\n"), (["-v"], "detail\nread\nwarning: odd\n")],
)
def test_the_log_goes_to_stderr_at_the_chosen_level(
    flags: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("cgnet_deploy.somewhere")

    def command(args: argparse.Namespace) -> int:
        log.debug("detail")
        log.info("read")
        log.warning("odd")
        return 0

    assert run(parser(), command, ["--engine", "a.onnx", *flags]) == 0
    log.info("no longer shown")
    assert capsys.readouterr() == ("", shown)


COMMAND = """
import logging, sys
from cgnet_deploy.errors import UsageError
from cgnet_deploy.terminal import Parser, run
from tests.disks import READ_ONLY
def command(args):
    logging.getLogger("cgnet_deploy").info("log of stra\u00dfe.png \u8857")
    print("stra\u00dfe.png \u8857\\n" * int(args.lines))
    if args.fail:
        raise UsageError("stra\u00dfe.png is missing")
    return 0
parser = Parser("cgnet-x", "For the tests.")
parser.add_argument("lines")
parser.add_argument("--fail", action="store_true")
sys.exit(run(parser, command))
"""


def shell(redirection: str, *words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """`cgnet-x WORDS REDIRECTION`, in a shell, and the exit code of cgnet-x on the last line of stderr."""
    line = f'{{ "$@"; echo "code $?" >&3; }} 3>&2 {redirection}'
    command = ["bash", "-c", line, "bash", sys.executable, "-c", COMMAND, *words]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, **variables})


@pytest.mark.parametrize("words", [("1",), ("1", "--fail")])
def test_names_that_stdout_has_no_letters_for(words: tuple[str, ...]) -> None:
    done = shell("", *words, PYTHONIOENCODING="ascii")
    assert done.stdout.startswith(b"stra\\xdfe.png \\u8857")
    assert b"Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (b"code 2" if "--fail" in words else b"code 0")


@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">/dev/full", 1), ("| true", 1), ("2>/dev/full", 0), ("2>&-", 0), (">&-", 0), (">&- 2>&-", 0)],
)
@pytest.mark.parametrize("lines", ["1", "20000"])
def test_a_stream_that_is_full_or_closed_is_no_traceback(redirection: str, code: int, lines: str) -> None:
    done = shell(redirection, lines)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if redirection != "| true" or lines != "1":  # a line may be in the pipe before its reader ends
        assert done.stderr.splitlines()[-1] == b"code %d" % code
    if redirection == ">/dev/full":
        assert b"cgnet-x: error: the output can't be written: No space left on device" in done.stderr


def test_a_package_without_a_place_for_temporary_files_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As multiprocessing in a container whose root is read-only."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(READ_ONLY)])
    assert guarded("cgnet", lambda: bool(tempfile.mkdtemp())) == 2
    assert capsys.readouterr().err == (
        f"cgnet: error: No usable temporary directory found in ['{READ_ONLY}']; TMPDIR names a folder for temporary "
        "files\n"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [(MemoryError(), ""), (MemoryError("Unable to allocate 1.00 TiB"), ": Unable to allocate 1.00 TiB")],
)
def test_too_little_memory_is_one_line(error: MemoryError, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        raise error

    assert guarded("cgnet", body) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cgnet: error: there is too little memory{said}")
