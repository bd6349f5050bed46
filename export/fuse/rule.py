"""What a fusion rule is, and how a tuple of them is applied.

`pattern` finds a place, `check` says why the rule can't fire there (or None), `rewrite` changes the graph.
Every rule is exact up to the rounding of floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import onnx_ir as ir

from cgnet_deploy.export.graph import count_ops, tidy

Match = TypeVar("Match")

MAX_PASSES = 200  # more than any network of MAX_BLOCKS needs: a rule that never settles is a bug


@dataclass(frozen=True, slots=True)
class Rule(Generic[Match]):
    """One rewrite. `pattern` looks at a node that may end the place; `check` returns a reason or None.

    int8: whether graphs that become int8 get it too.
    """

    name: str
    pattern: Callable[[ir.Node], Match | None]
    check: Callable[[Match], str | None]
    rewrite: Callable[[Match], None]
    int8: bool = True


def always(match: Any) -> str | None:
    """The `check` of a rule that can fire wherever its pattern is."""
    return None


@dataclass(frozen=True, slots=True)
class FusionReport:
    """What fired, what did not and why, and the nodes before and after, by kind."""

    fired: Mapping[str, int]
    skipped: tuple[tuple[str, str, str], ...]  # (rule, node, reason)
    ops_before: Mapping[str, int]
    ops_after: Mapping[str, int]

    def then(self, later: FusionReport) -> FusionReport:
        """This report and that of the rules applied afterwards, as one."""
        fired = {name: self.fired.get(name, 0) + later.fired.get(name, 0) for name in {**self.fired, **later.fired}}
        earlier = tuple(item for item in self.skipped if item[0] not in later.fired)
        return FusionReport(fired, earlier + later.skipped, self.ops_before, later.ops_after)

    def summary(self) -> str:
        """One line: `430 -> 387 nodes; batchnorm-conv 27, ...`."""
        fired = ", ".join(f"{rule} {count}" for rule, count in self.fired.items() if count)
        return f"{sum(self.ops_before.values())} -> {sum(self.ops_after.values())} nodes; {fired}"

    def to_json(self) -> dict[str, Any]:
        return {
            "fired": dict(self.fired),
            "skipped": [list(item) for item in self.skipped],
            "nodes_before": sum(self.ops_before.values()),
            "nodes_after": sum(self.ops_after.values()),
            "ops_before": dict(self.ops_before),
            "ops_after": dict(self.ops_after),
        }


def apply(model: ir.Model, rules: Sequence[Rule[Any]]) -> FusionReport:
    """Apply `rules` to `model` in place, in order, each until it finds nothing more."""
    tidy(model)
    before = count_ops(model)
    fired: dict[str, int] = {}
    skipped: dict[str, list[tuple[str, str]]] = {}
    for rule in rules:  # one may stand twice, where another has opened new places for it
        count, skipped[rule.name] = _exhaust(model, rule)
        fired[rule.name] = fired.get(rule.name, 0) + count
    reasons = tuple((rule, node, reason) for rule, places in skipped.items() for node, reason in places)
    return FusionReport(fired, reasons, before, count_ops(model))


def _exhaust(model: ir.Model, rule: Rule[Any]) -> tuple[int, list[tuple[str, str]]]:
    total = 0
    for _ in range(MAX_PASSES):
        fired, reasons = _sweep(model, rule)
        if not fired:
            return total, reasons
        total += fired
        tidy(model)
    raise AssertionError(f"rule {rule.name} still fires after {MAX_PASSES} passes")


def _sweep(model: ir.Model, rule: Rule[Any]) -> tuple[int, list[tuple[str, str]]]:
    fired, reasons = 0, []
    for node in list(model.graph):
        if node.graph is None:
            continue  # an earlier match of this sweep removed it
        match = rule.pattern(node)
        if match is None:
            continue
        if reason := rule.check(match):
            reasons.append((node.name or node.op_type, reason))
        else:
            rule.rewrite(match)
            fired += 1
    return fired, reasons
