"""Ctrl-C is 130 and one line at any moment of a command's start, whatever an import would make of it."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cgnet_deploy.errors import CgnetError
from cgnet_deploy.interrupts import caught_interrupts, prompt_interrupts
from cgnet_deploy.terminal import guarded
from tests.children import interruptible

SCENES = Path(__file__).parents[1] / "cgnet_deploy/weights/scenes.pth"
PRESSED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
COMMANDS = ("bench", "convert", "doctor", "export", "label", "train", "video")
FIRST_IMPORTS = (1, 7, 40)
ALL_IMPORTS = (600, 1600)

# Calls a command, and presses Ctrl-C when the N-th import of its start begins.
AT_AN_IMPORT = """
import os, signal, sys
left = int(sys.argv.pop(1))
def hook(event, args):
    global left
    if event == "import":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
from cgnet_deploy import start
signal.signal(signal.SIGINT, start.Interrupts())
sys.addaudithook(hook)
command = getattr(start, sys.argv.pop(1))
sys.argv[0] = "cgnet"
sys.exit(command())
"""


@pytest.mark.parametrize(
    "content",
    [
        f"try:\n{textwrap.indent(PRESSED, '    ')}except BaseException:\n    raise ImportError('broken')",
        f"try:\n{textwrap.indent(PRESSED, '    ')}except BaseException:\n    pass",
        f"class Late:\n    def __del__(self):\n{textwrap.indent(PRESSED, '        ')}Late()",
        f"{PRESSED}raise OSError(5, 'cannot load a library')",
    ],
    ids=["made another error", "swallowed", "in a finalizer", "before an error"],
)
@pytest.mark.parametrize("nested", [False, True])
@interruptible()
def test_an_import_can_t_hide_it(
    content: str, nested: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cgnet_inner.py").write_text(content)
    (tmp_path / "cgnet_outer.py").write_text("import cgnet_inner\n" if nested else content)
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)

    def body() -> int:
        try:
            importlib.import_module("cgnet_outer")
        except ImportError as error:
            raise CgnetError("cgnet_outer can't be imported") from error
        finally:
            for name in ("cgnet_outer", "cgnet_inner"):
                sys.modules.pop(name, None)
        return 0

    assert guarded("cgnet", body) == 130
    assert capsys.readouterr().err == "cgnet: interrupted\n"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before


@pytest.mark.parametrize("times", [1, 3])
@interruptible()
def test_one_that_waits_for_an_import_comes_before_the_work_that_only_records_it(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came within PyTorch's DataLoader, whose finalizer then wrote a traceback."""
    (tmp_path / "cgnet_late.py").write_text("import signal\nsignal.raise_signal(signal.SIGALRM)\n" * times)
    monkeypatch.syspath_prepend(tmp_path)
    begun = []

    def command() -> None:
        with prompt_interrupts() as prompt:
            prompt.received = signal.SIGINT
            importlib.import_module("cgnet_late")
            with caught_interrupts():
                begun.append(1)
                signal.sigtimedwait([], 5)

    with pytest.raises(KeyboardInterrupt):
        command()
    sys.modules.pop("cgnet_late", None)
    assert not begun


@interruptible()
def test_where_a_shell_ignores_it_it_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert guarded("cgnet", lambda: signal.raise_signal(signal.SIGINT) or 0) == 0  # type: ignore[func-returns-value]
    finally:
        signal.signal(signal.SIGINT, before)


def test_little_is_imported_before_it_is_heeded() -> None:
    """Up to there Ctrl-C shows Python's traceback. logging stays: a library must tell it that it is one."""
    program = "import logging, re, sys; b = {*sys.modules}; import cgnet_deploy.start; print(*{*sys.modules} - b)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = {"cgnet_deploy", "cgnet_deploy.interrupts", "cgnet_deploy.start"}
    python = {"__future__", "_signal", "importlib", "importlib._bootstrap", "importlib._bootstrap_external", "signal"}
    assert {*done.stdout.split()} <= ours | python


def pressed(command: str, imports: int, *arguments: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", AT_AN_IMPORT, str(imports), command, *arguments], capture_output=True, text=True
    )
    *_, last = run.stderr.splitlines()
    assert (run.returncode, last) == (130, f"cgnet-{command}: interrupted")
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("imports", FIRST_IMPORTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_at_its_first_imports(command: str, imports: int) -> None:
    pressed(command, imports)


@pytest.mark.slow
@pytest.mark.parametrize("imports", ALL_IMPORTS)
def test_an_export_while_it_imports_torch_and_onnx(imports: int, tmp_path: Path) -> None:
    pressed("export", imports, "--ckpt", str(SCENES), "--no-engine", "--onnx", str(tmp_path / "a.onnx"))
    assert not [*tmp_path.iterdir()]
