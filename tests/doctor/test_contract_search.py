"""The contract of a network that is right under exactly one is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cgnet_deploy.contracts import CONTRACTS, ONES, ClassTable
from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.doctor.candidates import Candidate, alike, candidates, statistics
from cgnet_deploy.doctor.contract_search import KEPT, SCREENED, ContractSearch, inferences, search
from cgnet_deploy.evaluation import Labeller
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.spec import InputSpec, Res

Network = Callable[[Candidate, U8], U8]
RES = Res(32, 48)
TRUE = CONTRACTS["camvid-official"]


def thresholds(candidate: Candidate, frame: U8) -> U8:
    """A network of three classes that heeds the place and the scale of each channel."""
    first, second, third = to_tensor(frame[None], candidate.spec)[0]
    return np.asarray((first > 0.3).astype(np.uint8) + (second + 2 * third > -0.4), np.uint8)


def largest(candidate: Candidate, frame: U8) -> U8:
    """One that heeds only which input channel is the largest."""
    return np.asarray(to_tensor(frame[None], candidate.spec)[0].argmax(0), np.uint8)


def searched(true: InputSpec, network: Network = thresholds, frames: int = 8) -> tuple[ContractSearch, int]:
    rng = np.random.default_rng(3)
    # Brightness varies more than hue, as in photographs.
    drawn = rng.integers(0, 216, (frames, *RES, 1)) + rng.integers(0, 40, (frames, *RES, 3))
    pictures = drawn.astype(np.uint8)
    samples = tuple((frame, network(Candidate("", true), frame)) for frame in pictures)
    calls: list[None] = []

    def labeller(candidate: Candidate) -> Labeller:
        def label(batch: U8) -> U8:
            calls.append(None)
            return network(candidate, batch[0])[None]

        return label

    tries = candidates(RES, pictures, None)
    found = search(tries, data_of(samples), RES, labeller)
    assert len(calls) == inferences(len(tries), frames)
    return found, len(tries)


def data_of(samples: tuple[tuple[U8, U8], ...]) -> InMemory:
    table = ClassTable(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), 11)
    return InMemory("drawn", table, tuple(map(str, range(len(samples)))), samples)


IMAGENET = InputSpec((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "bgr", RES)


@pytest.mark.parametrize("true", [TRUE, InputSpec(TRUE.mean[::-1], ONES, "rgb", RES), IMAGENET])
def test_the_contract_is_named_and_nothing_else_is(true: InputSpec) -> None:
    found, number = searched(true)
    assert alike(found.best.candidate.spec, true)
    assert found.best.miou == 1
    assert found.equals == 1
    assert len(found.scores) == number
    assert not found.hopeless


def test_contracts_that_make_no_difference_are_equals() -> None:
    # One mean for all channels moves none of them past another.
    found, _ = searched(InputSpec((127.5,) * 3, (127.5,) * 3, "rgb", RES), largest)
    group = [one.candidate.spec for one in found.scores[: found.equals]]
    assert {spec.mean for spec in group} >= {(0.0,) * 3, (127.5,) * 3}
    assert {spec.color for spec in group} == {"rgb"}


def test_what_falls_behind_is_not_tried_on_every_frame() -> None:
    found, number = searched(TRUE)
    assert [len(one.frames) for one in found.scores] == [8] * KEPT + [SCREENED] * (number - KEPT)
    assert all((one.worse is None) is (len(one.frames) < 8) for one in found.scores)


def test_one_frame_is_enough_to_run() -> None:
    found, _ = searched(TRUE, frames=1)
    assert alike(found.best.candidate.spec, TRUE)


def test_a_network_that_no_contract_suits_is_hopeless() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, *RES, 3), np.uint8)
    data = data_of(tuple((frame, np.full(RES, 2, np.uint8)) for frame in frames))
    wrong = search(candidates(RES, frames, None), data, RES, lambda _: lambda batch: np.zeros((1, *RES), np.uint8))
    assert wrong.best.miou == 0
    assert wrong.hopeless


def test_candidates_are_both_orders_of_both_colours_and_no_two_alike() -> None:
    frames = np.full((1, 4, 4, 3), (10, 20, 30), np.uint8)
    tries = [one.spec for one in candidates(RES, frames, TRUE)]
    for color in ("rgb", "bgr"):
        for mean in (TRUE.mean, TRUE.mean[::-1]):
            assert sum(alike(spec, InputSpec(mean, ONES, color, RES)) for spec in tries) == 1
    assert not any(alike(one, other) for i, one in enumerate(tries) for other in tries[:i])
    assert statistics(frames) == ((30, 20, 10), (1, 1, 1))
