"""A traced graph computes what the network computes, at every size that it leaves open."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cgnet_deploy.export.graph import count_ops, serialise
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.trace import TRACED_OPSET, trace
from cgnet_deploy.spec import Res
from tests.export.graphs import ROUNDING, check_onnx
from tests.export.networks import Character, logits, planes, trained

SMALL = Res(33, 47)


def test_logits_are_the_network_s_and_every_operator_is_its_own() -> None:
    model = trained()
    graph = trace(model, SMALL, batch=2)
    x = planes(SMALL, batch=2)
    wanted, (given,) = logits(model, x), run_single(serialise(graph), [x.numpy()])
    assert np.abs(given - wanted).max() <= ROUNDING * np.abs(wanted).max()
    check_onnx(graph)
    ops = count_ops(graph)
    assert ops["BatchNormalization"] == ops["PRelu"] == 2 * sum(model.blocks) + 6  # as in the network: nothing is fused
    assert {"Identity", "Constant", "Cast"} & set(ops) == set()


def test_the_graph_says_what_it_takes_and_gives() -> None:
    graph = trace(trained(), SMALL, batch=2)
    described = [(v.name, str(v.shape)) for v in (*graph.graph.inputs, *graph.graph.outputs)]
    assert described == [("input", "[2,3,33,47]"), ("logits", "[2,3,33,47]")]
    assert graph.opset_imports == {"": TRACED_OPSET}


def test_nodes_are_named_after_their_modules() -> None:
    graph = trace(trained(), SMALL, batch=2)
    names = {node.name for node in graph.graph}
    assert len(names) == len(graph.graph)
    assert {"stem.0.conv/Conv", "stage3.1.gate.squeeze/Gemm", "join2.act/PRelu", "classifier/Conv"} <= names


@pytest.mark.parametrize(("classes", "bias"), [(1, True), (20, False)])
def test_a_classifier_has_a_bias_or_none(classes: int, bias: bool) -> None:
    model = trained(classes, character=Character(steepest=2, dead=0.2), bias=bias, seed=7)
    x = planes(SMALL, batch=2)
    wanted, (given,) = logits(model, x), run_single(serialise(trace(model, SMALL, batch=2)), [x.numpy()])
    assert np.abs(given - wanted).max() <= ROUNDING * np.abs(wanted).max()


@pytest.mark.parametrize(("batch", "res"), [(1, Res(32, 32)), (3, Res(33, 47)), (2, Res(96, 136)), (1, Res(61, 200))])
def test_an_open_graph_runs_at_every_size(batch: int, res: Res) -> None:
    model = trained()
    graph = trace(model, SMALL, dynamic="both")
    assert str(graph.graph.inputs[0].shape) == "[N,3,H,W]"
    x = planes(res, batch=batch)
    wanted, (given,) = logits(model, x), run_single(serialise(graph), [x.numpy()])
    assert np.abs(given - wanted).max() <= ROUNDING * np.abs(wanted).max()


def test_an_open_batch_keeps_the_size() -> None:
    model = trained()
    graph = trace(model, SMALL, dynamic="batch")
    assert str(graph.graph.inputs[0].shape) == "[N,3,33,47]"
    x = torch.cat([planes(SMALL)] * 3)
    wanted, (given,) = logits(model, x), run_single(serialise(graph), [x.numpy()])
    assert np.abs(given - wanted).max() <= ROUNDING * np.abs(wanted).max()
