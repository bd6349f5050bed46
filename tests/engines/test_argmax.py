from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.pixels import F32


# Few distinct values, so that ties are common.
@given(
    hnp.arrays(
        np.float32,
        st.tuples(*map(st.integers, (1, 1, 1, 1), (2, 20, 4, 5))),
        elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, np.inf]),
    )
)
def test_is_argmax(logits: F32) -> None:
    labels = labels_of(logits)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, logits.argmax(1))


@pytest.mark.parametrize("k", [1, 255, 256])
def test_the_last_class_fits_a_label(k: int) -> None:
    logits = np.zeros((1, k, 2, 3), np.float32)
    logits[:, -1] = 1
    assert (labels_of(logits) == k - 1).all()


def test_leaves_the_logits_alone_and_takes_any_layout() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 4, 5, 7)).astype(np.float32).transpose(0, 3, 1, 2)
    kept = logits.copy()
    np.testing.assert_array_equal(labels_of(logits), kept.argmax(1))
    np.testing.assert_array_equal(logits, kept)
