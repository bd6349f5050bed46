"""The report holds every figure, loads nothing, and shows hostile names as what they are: text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from cgnet_deploy.bench.report import table as report
from cgnet_deploy.bench.report.page.page import page
from tests.bench.records import record
from tests.bench.report.page.reports import CLASSES, HERE, HOSTILE, hostile_records, pictures


class Reader(HTMLParser):
    """What a browser would make of the page: its tags, its text, and what its scripts and styles hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in self.raw:
            self.raw[self.inside].append(data)
        else:
            self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    return page(hostile_records(), HERE, [pictures()])


@pytest.fixture(scope="module")
def read(html: str) -> Reader:
    return Reader(html)


def test_hostile_names_make_no_tags(read: Reader) -> None:
    tags = [tag for tag, _ in read.tags]
    assert tags.count("script") == 2  # the figures, and the page's own
    assert tags.count("link") == 1  # the empty icon, so that no browser asks for one
    assert {"u", "em", "iframe", "object"}.isdisjoint(tags)
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag != "img" or attributes["src"].startswith("data:image/")
        assert tag != "b" or attributes.keys() & {"class"}, "a class called <b>road"


def test_hostile_names_are_read_as_text(read: Reader) -> None:
    shown = " ".join(read.text.split())
    for name in (*HOSTILE, *CLASSES, HERE.cpu, "<em>0001", "<u>numpy"):
        assert " ".join(name.split()) in shown
    assert "alert(5)" in shown  # the command


def test_nothing_is_loaded(html: str, read: Reader) -> None:
    for tag, attributes in read.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert re.match(r"data:|#|$", attributes.get(name, "")), (tag, name, attributes[name])
    styles = read.raw["style"] + [attributes["style"] for _, attributes in read.tags if "style" in attributes]
    for style in styles:
        assert "@import" not in style
        assert all(re.match(r'url\("?(data:image/|#)', found) for found in re.findall(r"url\(.{0,20}", style)), style
    clean = page([record(), record("b.onnx")], HERE, [])
    assert not re.findall(r"https?:|//[a-z]", clean.split('<script type="application/json"')[0])


def test_the_policy_forbids_every_script_but_the_pages_own(read: Reader) -> None:
    (policy,) = [attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes]
    script = read.raw["script"][-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")


def test_every_figure_of_every_row_is_in_it(read: Reader) -> None:
    records = hostile_records()
    shown = " ".join(read.text.split())
    for column in report.columns(records):
        for cell in column.cells:
            assert " ".join(cell.split()) in shown, (column.heading, cell)
    for row in records:
        for value in row.iou.values():
            assert value is None or f"{100 * value:.2f}" in shown
        assert row.sha256 in shown
    for figure in ("1.235", "2.000", "0.346"):  # ms of each block, of the rows that were profiled
        assert shown.count(figure) >= 3
    assert json.loads(read.raw["script"][0]) == json.loads(json.dumps(report.to_json(records, HERE)))


def test_what_was_measured_is_drawn(html: str) -> None:
    drawn = re.findall(r'<svg viewBox="[^"]+" role="img" aria-label="([^"]+)"', html)
    assert set(drawn) == {
        "Accuracy against latency",
        "How latency is spread",
        "Round by round",
        "IoU of each class",
        "Time by part of the network",
        "Cold start",
    }


def test_rows_of_a_sweep_are_told_apart() -> None:
    rows = [
        record(name, batch=batch, boundary=boundary)
        for batch in (1, 4)
        for boundary in ("host", "e2e")
        for name in ("a.onnx", "b.onnx")
    ]
    shown = Reader(page(rows, HERE, [])).text
    for where in ("host, 1024x2048, batch 1", "e2e, 1024x2048, batch 1", "host, 1024x2048, batch 4"):
        assert where in shown
    assert "Accuracy against latency" not in shown  # nothing was scored


def test_pictures_say_how_much_differs(read: Reader) -> None:
    shown = " ".join(read.text.split())
    assert "1 of 2400 pixels differ, 0 clearly" in shown  # engine 2, on a tie
    assert shown.count("1 of 2400 pixels differ, 1 clearly") == 2  # engines 3 and 4


def test_rows_without_pictures_say_so() -> None:
    assert "No pictures" in Reader(page(hostile_records(), HERE, [])).text
