"""One table of targets: its names, and what each does in int8."""

from __future__ import annotations

import pytest

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import TARGET_NAMES
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.sites import ROLES
from cgnet_deploy.export.targets import RULE_NAMES, TARGETS, target_named
from cgnet_deploy.spec import Precision


def test_the_command_s_choices_are_the_table_s_names() -> None:
    assert tuple(target.name for target in TARGETS) == TARGET_NAMES
    assert [target_named(name) for name in TARGET_NAMES] == list(TARGETS)


def test_an_unknown_target_is_refused_by_naming_the_known_ones() -> None:
    with pytest.raises(UsageError, match=f"^--target tpu: must be one of {', '.join(TARGET_NAMES)}$"):
        target_named("tpu")


def test_only_tensorrt_computes_in_f16_what_is_not_int8() -> None:
    assert [target.name for target in TARGETS if target.fallback_precision is Precision.F16] == ["tensorrt"]


def test_int8_graphs_leave_out_what_only_floats_can_do() -> None:
    left_out = {target.name: {rule.name for rule in target.forms} for target in TARGETS}
    for target in TARGETS:
        left_out[target.name] -= {rule.name for rule in target.int8_forms}
    assert left_out == {
        "generic": {"channel-factor"},
        "ort-cpu": {"channel-factor", "gate-conv", "stem-rows", "output-write"},
        "openvino": {"channel-factor", "ragged-sink", "ragged-conv"},
        "tensorrt": {"channel-factor"},
        "native": set(),
    }


def test_only_openvino_never_takes_the_image_s_convolution() -> None:
    assert {target.name: target.keeps for target in TARGETS if target.keeps} == {"openvino": {"image"}}


def test_every_rule_has_a_name_of_its_own() -> None:
    rules = {id(rule) for forms in (FOLD, *(target.forms for target in TARGETS)) for rule in forms}
    assert len(rules) == len(RULE_NAMES)


def test_the_scopes_of_int8_grow() -> None:
    assert ROLES["most"] < ROLES["all"]
