"""The report in a real browser: what it asks for, what it complains of, and what can be done with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cgnet_deploy.bench.report.page.page import page
from tests.bench.report.page.reports import HERE, hostile_records, pictures

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# In pixels on the screen, of the charts' text that is shown.
TEXT_SIZES = """
[...document.querySelectorAll("svg text")].filter((text) => text.getBoundingClientRect().width).map((text) => {
  const to = text.getScreenCTM();
  return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(to.a, to.b);
})
"""


# Texts of one chart that are shown and cover each other.
OVERLAPS = """
[...document.querySelectorAll("svg")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const shown = texts.filter(([, box]) => box.width);
  const shared = (a, b, from, to) => Math.min(a[to], b[to]) - Math.max(a[from], b[from]);
  return shown.flatMap(([one, a], i) => shown.slice(i + 1)
    .filter(([, b]) => shared(a, b, "left", "right") > 1 && shared(a, b, "top", "bottom") > 3)
    .map(([other]) => `${one} | ${other}`));
})
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs a user other than root, whom CI often is.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(hostile_records(), HERE, [pictures()]), encoding="utf-8")
    return path.as_uri()


def empty(browser: Browser, *, width: int = 1440, scheme: str = "light", script: bool = True) -> Page:
    """A tab of that width, in a context of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        java_script_enabled=script,
    )
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    return tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_says_nothing_and_asks_for_nothing(browser: Browser, address: str, width: int, scheme: str) -> None:
    tab = empty(browser, width=width, scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.locator(".wide svg").first.is_visible() is (width == 1440)
    assert tab.locator(".narrow svg").first.is_visible() is (width == 390)
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 21, 26)"}[scheme]
    assert min(tab.evaluate(TEXT_SIZES)) > 10
    tab.context.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_no_text_covers_another_where_engines_are_equal(browser: Browser, width: int, tmp_path: Path) -> None:
    records = [replace(one, rounds=hostile_records()[0].rounds) for one in hostile_records() * 2]
    (path := tmp_path / "report.html").write_text(page(records, HERE, []), encoding="utf-8")
    tab = empty(browser, width=width)
    tab.goto(path.as_uri())
    assert tab.locator("svg >> visible=true").count() >= 5
    assert tab.evaluate(OVERLAPS) == []
    tab.context.close()


def test_it_is_complete_without_javascript(browser: Browser, address: str) -> None:
    tab = empty(browser, script=False)
    tab.goto(address)
    for part in (".wide svg", "table.rows", ".strip img.labels", "pre code"):
        assert tab.locator(part).first.is_visible()
    assert tab.locator("[data-fade]").is_hidden()  # it would do nothing
    tab.context.close()


def test_what_javascript_adds(browser: Browser, address: str) -> None:
    tab = empty(browser)
    tab.goto(address)

    tab.click("[data-toggle='2']")
    assert tab.locator("tr[data-engine='2']").is_hidden()
    assert tab.locator("tr[data-engine='1']").is_visible()
    faded = "[...document.querySelectorAll('svg g.off')].every(g => g.id.includes('engine-2'))"
    assert tab.evaluate(f"document.querySelector('svg g.off') && {faded}")
    tab.click("[data-toggle='2']")
    assert tab.evaluate("document.querySelectorAll('.off').length") == 0

    tab.click("thead th:has-text('p50 ms')")
    tab.click("thead th:has-text('p50 ms')")
    order = tab.evaluate("[...document.querySelectorAll('.sortable tbody tr')].map(row => row.dataset.engine)")
    assert order == ["4", "3", "2", "1"]  # the slowest first

    tab.locator(".wide g[id$='engine-3']").first.hover()
    assert "p50 ms" in tab.locator("#tip").inner_text()

    tab.locator(".strip .pile").nth(2).click()
    assert tab.locator("#zoom").is_visible()
    tab.click("#zoom button")
    tab.locator("[data-fade]").fill("20")
    assert tab.evaluate("getComputedStyle(document.querySelector('.strip .labels')).opacity") == "0.2"
    tab.context.close()
