"""What counts as equal, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.errors import AccuracyError
from cgnet_deploy.export.verify import LIMITS, Verification, compare, demand, demand_labels
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.spec import Precision

F32_LIMITS = LIMITS[Precision.F32]


def scores(seed: int = 0, batch: int = 2) -> F32:
    return np.random.default_rng(seed).normal(size=(batch, 4, 50, 40)).astype(np.float32)


def test_compares_all_images_of_all_batches() -> None:
    parent = [scores(0), 3 * scores(1, batch=1)]
    child = [parent[0].copy(), parent[1].copy()]
    child[0][1, :, 5, 7] = child[0][1, ::-1, 5, 7]  # one pixel of one image gets another class
    found = compare(parent, child)
    assert found.images == 3
    assert found.max_abs_logit == np.abs(parent[1]).max()
    assert found.max_abs_diff == np.abs(child[0] - parent[0]).max()
    assert found.argmax_agreement == pytest.approx(1 - 1 / 4000 / 2)  # of the first batch's 4000 pixels, of 2 batches


@pytest.mark.parametrize("precision", [Precision.F32, Precision.F16])
def test_a_child_at_its_limits_passes(precision: Precision) -> None:
    limits = LIMITS[precision]
    demand(Verification(1, limits.agreement, limits.relative * 10, 10), precision, "step")


@pytest.mark.parametrize("precision", [Precision.F32, Precision.F16])
@pytest.mark.parametrize(("further", "fewer"), [(1.001, 0.0), (0.5, 0.001), (float("nan"), 0.0), (float("inf"), 0.0)])
def test_a_child_past_one_of_them_is_refused(precision: Precision, further: float, fewer: float) -> None:
    limits = LIMITS[precision]
    found = Verification(1, limits.agreement - fewer, limits.relative * 10 * further, 10)
    with pytest.raises(AccuracyError, match=f"fused: the {precision.value} graph disagrees .* nothing was written"):
        demand(found, precision, "fused")


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_one_value_that_is_no_number_is_refused(poison: float) -> None:
    child = scores()
    child[1, 2, 3, 4] = poison
    with pytest.raises(AccuracyError):
        demand(compare([scores()], [child]), Precision.F16, "halved")


def test_f32_is_held_to_rounding_and_f16_is_not() -> None:
    assert F32_LIMITS.relative == 1e-5
    rounded = scores().astype(np.float16).astype(np.float32)
    found = compare([scores()], [rounded])
    demand(found, Precision.F16, "halved")
    with pytest.raises(AccuracyError):
        demand(found, Precision.F32, "fused")


def labels(logits: F32, wrong: int) -> U8:
    """The argmax, but for `wrong` pixels."""
    found: U8 = logits.argmax(1).astype(np.uint8)
    found.reshape(-1)[:wrong] += 1
    return found


@pytest.mark.parametrize(("precision", "wrong"), [(Precision.F32, 0), (Precision.F16, 80)])  # 2 % of 4000
def test_labels_that_are_the_argmax_pass(precision: Precision, wrong: int) -> None:
    assert demand_labels([scores()], [labels(scores(), wrong)], precision) == 1 - wrong / 4000


@pytest.mark.parametrize(("precision", "wrong"), [(Precision.F32, 1), (Precision.F16, 81)])
def test_labels_that_are_not_are_refused(precision: Precision, wrong: int) -> None:
    with pytest.raises(AccuracyError, match="labels equal the argmax"):
        demand_labels([scores()], [labels(scores(), wrong)], precision)
