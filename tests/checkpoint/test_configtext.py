"""Values are read out of a config's text; nothing in it runs, and no text makes the reader hang or crash."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest

from cgnet_deploy.checkpoint.configtext import MAX_CHARS, Config, Unreadable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x = [1, -2.5, 'a', None, True]", [1, -2.5, "a", None, True]),
        ("x = dict(a=1, b=dict(c=(1, 2)))", {"a": 1, "b": {"c": [1, 2]}}),
        ("base = dict(a=1)\nx = dict(**base, b=2)", {"a": 1, "b": 2}),
        ("base = dict(a=1)\nx = {**base, 'b': base}", {"a": 1, "b": {"a": 1}}),
        ("x = 1\nx = 2", 2),
        ("y='a = 1' x=[1,\n2] z=3", [1, 2]),
        ("/a/path.py\nx = '''x = 3''' # x = 4", "x = 3"),
        ("if True:\n    x = 5", 5),
        ("Config (path: a.py): {'x': {'y': 1}}", {"y": 1}),
        ("z = f(1)\nx = 7", 7),
        ("x = [f(1), 2]", [None, 2]),
        ("x = x", None),
        ("x = y\ny = x", None),
        ("x = 1 +", None),
        ("x == 1", None),
        ("", None),
        ("x = {[]: 1}", None),
        ("x = dict(1)", None),
    ],
)
def test_literals_and_dicts_are_read_and_nothing_else(text: str, value: object) -> None:
    assert Config(text).get("x") == value


def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [
        "import os; os.system('touch here')\nx = 1",
        "x = __import__('os').system('touch here')",
        "x = eval('1')",
        "x = (lambda: open('here', 'w'))()",
        "x = [open('here', 'w') for _ in (1,)]",
        "x = f\"{open('here', 'w')}\"",
        "x = dict(a=open('here', 'w'))",
        "x = (y := open('here', 'w'))",
        "dict = open\nx = dict('here', 'w')",
    ]
    values = [Config(text).get("x") for text in texts]
    assert values == [1, None, None, None, None, None, {"a": None}, None, None]
    assert not list(tmp_path.iterdir())


LONG = MAX_CHARS - 20
HOSTILE = {
    "a megabyte of brackets": "x=" + "[" * 1_000_000,
    "open brackets": "x=" + "[" * LONG,
    "brackets": "x=" + "[" * (LONG // 2) + "]" * (LONG // 2),
    "signs": "x=" + "-" * LONG + "1",
    "attributes": "x=y" + ".a" * (LONG // 2),
    "calls": "x=y" + "()" * (LONG // 2),
    "sums": "x=1" + "+1" * (LONG // 2),
    "powers": "x=9" + "**9" * (LONG // 3),
    "not": "x=" + "not " * (LONG // 4) + "1",
    "lambdas": "x=" + "lambda:" * (LONG // 7) + "1",
    "conditions": "x=" + "1 if 1 else " * (LONG // 12) + "1",
    "digits": "x=" + "9" * LONG,
    "escapes": "x='" + "\\'" * (LONG // 2),
    "quotes": "x=" + "'''" * (LONG // 3),
    "names": "".join(f"a{i}=a{i - 1};" for i in range(1, 8000)) + "x=a7999",
    "doubling": "a0=[1]\n" + "".join(f"a{i}=[a{i - 1},a{i - 1}]\n" for i in range(1, 2000)) + "x=a1999",
    "doubled dicts": "a0={'a':1}\n" + "".join(f"a{i}=dict(**a{i - 1},**a{i - 1})\n" for i in range(1, 36)) + "x=a35",
    "blanks": "x" + " " * LONG,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_end_in_no_time(text: str) -> None:
    start = monotonic()
    try:
        value = Config(text).get("x")
    except Unreadable:
        value = None
    assert value is None or isinstance(value, dict | list | str)
    assert monotonic() - start < 5
