"""How rules are applied, and what the report says."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from cgnet_deploy.export.fuse.rule import FusionReport, Rule, apply
from cgnet_deploy.export.graph import insert, replace
from tests.export.graphs import graph

CHAIN = "(float[2, 3] x) => (float[2, 3] y) { a = Abs (x) b = Abs (a) y = Neg (b) }"


def turns(name: str, before: str, after: str, reason: str | None = None) -> Rule[ir.Node]:
    """A rule that writes `after` where `before` stands, unless there is a reason not to."""

    def rewrite(node: ir.Node) -> None:
        replace(node.outputs[0], insert(node, after, node.inputs, name=node.name or ""))

    return Rule(name, lambda node: node if node.op_type == before else None, lambda node: reason, rewrite)


def test_each_rule_fires_until_it_finds_nothing_more() -> None:
    model = graph(CHAIN, {})
    report = apply(model, [turns("first", "Abs", "Sqrt"), turns("second", "Sqrt", "Exp")])
    assert report == FusionReport({"first": 2, "second": 2}, (), {"Abs": 2, "Neg": 1}, {"Exp": 2, "Neg": 1})


def test_rules_are_applied_in_order() -> None:
    report = apply(graph(CHAIN, {}), [turns("second", "Sqrt", "Exp"), turns("first", "Abs", "Sqrt")])
    assert report.fired == {"second": 0, "first": 2}


def test_a_rule_that_stands_twice_is_counted_once_over_both() -> None:
    rules = [turns("a", "Abs", "Sqrt"), turns("b", "Neg", "Abs"), turns("a", "Abs", "Sqrt")]
    assert apply(graph(CHAIN, {}), rules).fired == {"a": 3, "b": 1}


def test_the_report_says_where_a_rule_did_not_fire_and_why() -> None:
    model = graph(CHAIN, {})
    report = apply(model, [turns("shy", "Abs", "Sqrt", "no reason")])
    assert report.fired == {"shy": 0}
    assert report.skipped == (("shy", "Abs", "no reason"), ("shy", "Abs_1", "no reason"))
    assert report.ops_before == report.ops_after


def test_a_rule_that_never_settles_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="rule restless still fires"):
        apply(graph(CHAIN, {}), [turns("restless", "Abs", "Abs")])


def test_what_nothing_reads_is_not_counted() -> None:
    report = apply(graph(CHAIN.replace("y =", "idle = Exp (a) y ="), {}), [])
    assert report.ops_before == {"Abs": 2, "Neg": 1}


def test_two_reports_make_one() -> None:
    model = graph(CHAIN, {})
    first = apply(model, [turns("a", "Abs", "Sqrt"), turns("b", "Neg", "Neg", "early")])
    both = first.then(apply(model, [turns("b", "Neg", "Neg", "late"), turns("c", "Sqrt", "Exp")]))
    assert both.fired == {"a": 2, "b": 0, "c": 2}
    assert both.skipped == (("b", "Neg", "late"),)  # the later look at the same places
    assert both.ops_before == {"Abs": 2, "Neg": 1}
    assert both.ops_after == {"Exp": 2, "Neg": 1}
    assert both.summary() == "3 -> 3 nodes; a 2, c 2"
    assert both.to_json() == {
        "fired": {"a": 2, "b": 0, "c": 2},
        "skipped": [["b", "Neg", "late"]],
        "nodes_before": 3,
        "nodes_after": 3,
        "ops_before": {"Abs": 2, "Neg": 1},
        "ops_after": {"Exp": 2, "Neg": 1},
    }
