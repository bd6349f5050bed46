"""The names of the three code bases, with the traps between them spelled out."""

from __future__ import annotations

import pytest

from cgnet_deploy.checkpoint.keys import Format, renamed
from cgnet_deploy.model import CGNet


def names(fmt: Format, blocks: tuple[int, int] = (3, 21), bias: bool = False) -> dict[str, str]:
    return renamed(list(CGNet(19, blocks, bias).state_dict()), blocks, fmt)


@pytest.mark.parametrize("fmt", ["official", "mmseg"])
@pytest.mark.parametrize("blocks", [(2, 2), (3, 21), (6, 12)])
def test_every_tensor_has_exactly_one_name(fmt: Format, blocks: tuple[int, int]) -> None:
    m, n = blocks
    table = names(fmt, blocks)
    assert len(table) == len(set(table.values())) == 21 + 18 + 1 + 2 * 20 + 19 * (m - 1 + n - 1)


def test_our_own_names_stay() -> None:
    assert all(ours == theirs for ours, theirs in names("cgnet").items())


@pytest.mark.parametrize(
    ("ours", "official", "mmseg"),
    [
        ("stem.1.conv.weight", "level1_1.conv.weight", "backbone.stem.1.conv.weight"),
        ("stem.2.act.weight", "level1_2.act.weight", "backbone.stem.2.activate.weight"),
        ("join1.bn.running_var", "b1.bn.running_var", "backbone.norm_prelu_0.0.running_var"),
        ("join3.act.weight", "bn_prelu_3.act.weight", "backbone.norm_prelu_2.1.weight"),
        ("stage2.0.entry.conv.weight", "level2_0.conv1x1.conv.weight", "backbone.level1.0.conv1x1.conv.weight"),
        ("stage2.1.local.weight", "level2.0.F_loc.conv.weight", "backbone.level1.1.f_loc.weight"),
        ("stage3.0.bn.bias", "level3_0.bn.bias", "backbone.level2.0.bn.bias"),
        ("stage3.0.reduce.weight", "level3_0.reduce.conv.weight", "backbone.level2.0.bottleneck.weight"),
        (
            "stage3.20.bn.num_batches_tracked",
            "level3.19.bn_prelu.bn.num_batches_tracked",
            "backbone.level2.20.bn.num_batches_tracked",
        ),
        ("stage3.1.act.weight", "level3.0.bn_prelu.act.weight", "backbone.level2.1.activate.weight"),
        ("stage3.1.gate.excite.bias", "level3.0.F_glo.fc.2.bias", "backbone.level2.1.f_glo.fc.2.bias"),
        ("classifier.weight", "classifier.0.conv.weight", "decode_head.conv_seg.weight"),
    ],
)
def test_names_where_the_code_bases_differ(ours: str, official: str, mmseg: str) -> None:
    assert names("official")[ours] == official
    assert names("mmseg")[ours] == mmseg


def test_mmseg_names_the_classifier_s_bias() -> None:
    assert names("mmseg", bias=True)["classifier.bias"] == "decode_head.conv_seg.bias"
