"""What stands behind the report's charts and pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cgnet_deploy.bench.accuracy.gallery import ScoredPicture, choose
from cgnet_deploy.bench.report.page.charts import apart, by_part
from cgnet_deploy.bench.report.page.figure import INK, SERIES, themed
from cgnet_deploy.bench.report.page.images import CLEAR, NOTHING, TIE, png, spots
from cgnet_deploy.bench.report.page.pareto import front, offsets, overlap
from cgnet_deploy.bench.report.page.series import ReportRow, rows_of, shortened
from cgnet_deploy.spec import Res
from tests.bench.records import record
from tests.bench.report.page.reports import LAYERS


def scored(name: str, ms: float, hits: int) -> ReportRow:
    """mIoU of about hits / 10,000: one class of three is hit so often, the others always."""
    counts = [[hits, 10_000 - hits, 0], [0, 10_000, 0], [0, 0, 10_000]]
    return ReportRow(1, name, record(name, ((ms, ms, ms),), counts=counts))


def test_the_front_is_who_nobody_beats() -> None:
    fast, middle, slow = scored("fast", 10, 5000), scored("middle", 20, 8000), scored("slow", 30, 9900)
    beaten = scored("beaten", 25, 7000)
    assert [row.name for row in front([slow, beaten, fast, middle])] == ["fast", "middle", "slow"]


def test_a_gain_that_no_gate_would_see_does_not_make_the_front() -> None:
    fast, slower = scored("fast", 10, 9000), scored("slower", 20, 9010)
    assert 0 < (slower.record.miou or 0) - (fast.record.miou or 0) < 0.001
    assert [row.name for row in front([fast, slower])] == ["fast"]


def test_an_engine_given_twice_has_two_numbers_and_keeps_them_at_each_boundary() -> None:
    rows = rows_of([record("a", boundary=where) for where in ("host", "host", "e2e", "e2e")])
    assert [row.number for row in rows] == [1, 2, 1, 2]


def test_colours_and_markers_together_tell_many_engines_apart() -> None:
    rows = [ReportRow(number, "", record()) for number in range(1, 41)]
    assert len({(row.colour, row.marker) for row in rows}) == 40


def test_a_long_name_keeps_both_ends_and_is_one_line() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert shortened("a\nb\x00", 9) == "a?b?"


def test_the_blocks_of_a_stage_are_one_part() -> None:
    assert by_part(LAYERS) == {"stem": 1_234_567, "stage2": 2_345_678}


@pytest.mark.parametrize(
    ("heights", "placed"),
    [
        ([50, 10, 30], [50, 10, 30]),
        ([10, 10], [5, 15]),
        ([20, 10, 10, 90], [23.3, 3.3, 13.3, 90]),
        ([0, 12, 8], [-3.3, 16.7, 6.7]),  # two that are pushed into a third
        ([], []),
    ],
)
def test_numbers_at_one_height_are_spread(heights: list[float], placed: list[float]) -> None:
    assert apart(heights, 10) == pytest.approx(placed, abs=0.1)


def test_labels_are_placed_above_or_below_and_never_on_the_point() -> None:
    for step in range(4):
        above, below = offsets(step)
        assert not overlap((0, above, 9, above + 15), (-8, -8, 8, 8))
        assert not overlap((0, below, 9, below + 15), (-8, -8, 8, 8))


def test_only_tags_are_rewritten_and_never_the_text() -> None:
    drawing = f'<?xml?><svg viewBox="0 0 9 9"><g id="a"><text style="fill: {INK}">{SERIES[0]} id="a"</text></g></svg>\n'
    assert themed(drawing, "n", 'a "title"') == (
        '<svg viewBox="0 0 9 9" role="img" aria-label="a &quot;title&quot;">'
        f'<g id="n-a"><text style="fill: var(--ink)">{SERIES[0]} id="a"</text></g></svg>'
    )


def test_no_differing_pixel_is_lost_in_a_smaller_picture() -> None:
    kinds = np.zeros((1000, 2000), np.uint8)
    kinds[501, 1001], kinds[503, 1003], kinds[999, 1999] = 1, 2, 1
    small = spots(kinds, Res(100, 200))
    assert small[50, 100] == 2  # a clear one is seen over a tie
    assert small[99, 199] == 1
    assert not small[0, 0]


def test_a_label_map_is_an_indexed_picture_with_holes() -> None:
    uri = png(np.asarray([[0, 1], [2, 0]], np.uint8), [NOTHING, TIE, CLEAR])
    head, _, content = uri.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert head == "data:image/png;base64"
    assert image.mode == "P"
    assert np.asarray(image.convert("RGBA")).tolist() == [[list(NOTHING), list(TIE)], [list(CLEAR), list(NOTHING)]]


@pytest.mark.parametrize(
    ("differing", "chosen"),
    [
        ([0] * 100, [0, 25, 50, 75]),
        ([0] * 99 + [7], [0, 25, 50, 99]),
        ([5, 9, 9, 9] + [0] * 96, [0, 1, 2, 25]),
        ([3, 0], [0, 1]),
        ([0], [0]),
    ],
)
def test_the_worst_and_the_usual_are_shown(differing: list[int], chosen: list[int]) -> None:
    assert choose(differing) == chosen


def test_without_margins_all_that_differs_is_clear() -> None:
    zeros = np.zeros((2, 2), np.uint8)
    picture = ScoredPicture("", np.zeros((2, 2, 3), np.uint8), zeros, (zeros, np.eye(2, dtype=np.uint8)), None)
    assert picture.differing(1).tolist() == [[2, 0], [0, 2]]
    assert not picture.differing(0).any()
