"""Pairs on raw results: what each costs, and which are too dear."""

from __future__ import annotations

import logging
import math
import statistics
from dataclasses import replace

import onnx_ir as ir
import pytest
import torch
from torch import Tensor

from cgnet_deploy.export.calibration_data import calibration_frames
from cgnet_deploy.export.distill import crops, relative
from cgnet_deploy.export.lower import Lowering
from cgnet_deploy.export.raw_results import costs_of, without_costly
from cgnet_deploy.export.replay import Replay, fake, stored_scale
from cgnet_deploy.export.targets import target_named
from tests.export.networks import trained
from tests.export.test_distill import SPEC, lowering_of
from tests.export.test_quantize import SMALL, fused

STEM = "stem.2.conv/Conv"


@pytest.fixture(scope="module")
def model() -> ir.Model:
    return fused(trained(), target_named("ort-cpu"))


@pytest.fixture(scope="module")
def lowering(model: ir.Model) -> Lowering:
    return lowering_of(model, target_named("ort-cpu"))


@pytest.fixture(scope="module")
def inputs() -> list[Tensor]:
    return crops(calibration_frames("scenes", 8, SMALL), SPEC)


def results_of(lowering: Lowering) -> dict[str, float]:
    assert lowering.ranges is not None
    return dict(lowering.ranges.scales.results)


def measured(model: ir.Model, scales: dict[str, float], inputs: list[Tensor]) -> dict[str, float]:
    """The noise of the scores with the pair of each result in place, and no other."""
    replay, noise = Replay(model), dict.fromkeys(scales, 0.0)
    results = {node.name: node.outputs[0] for node in model.graph if node.name in scales}
    with torch.no_grad():
        for x in inputs:
            known = replay.values(x)
            for name, scale in scales.items():
                given = {results[name]: fake(known[results[name]], stored_scale(torch.tensor(scale)))}
                noise[name] += relative(known[replay.scores], replay(x, given)).item() / len(inputs)
    return noise


def test_costs_are_those_of_the_pairs_one_by_one(model: ir.Model, lowering: Lowering, inputs: list[Tensor]) -> None:
    results = results_of(lowering)
    costs, wanted = costs_of(model, results, inputs), measured(model, results, inputs)
    assert set(costs) == set(results)
    apart = {name: 10 * math.log10(costs[name] / wanted[name]) for name in results}
    # dB. A few are worse: where a channel rests on the kink of its PReLU, first order is not enough.
    assert abs(statistics.median(apart.values())) < 1
    assert statistics.median(abs(one) for one in apart.values()) < 2


def test_a_pair_that_costs_more_than_all_the_rest_is_left_out(
    model: ir.Model, lowering: Lowering, inputs: list[Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cgnet_deploy")
    assert lowering.calibrated(without_costly(model, lowering, inputs)).sites == lowering.sites
    assert caplog.messages == []
    assert lowering.ranges is not None
    coarse = {**results_of(lowering), STEM: 16 * results_of(lowering)[STEM]}
    spoilt = replace(lowering.ranges, scales=replace(lowering.ranges.scales, results=coarse))
    found = without_costly(model, replace(lowering, ranges=spoilt), inputs)
    assert set(coarse) - set(found.scales.results) == {STEM}
    assert {site.name for site in lowering.sites} - {s.name for s in lowering.calibrated(found).sites} == {STEM}
    assert STEM in caplog.messages[-1]


def test_where_raw_results_have_no_pairs_none_costs_too_much(lowering: Lowering) -> None:
    assert lowering.ranges is not None
    bare = replace(lowering.ranges, scales=replace(lowering.ranges.scales, results={}))
    assert replace(lowering, raw_results=False).calibrated(bare).sites == lowering.sites
