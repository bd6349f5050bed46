"""What mmsegmentation says about a network reaches its spec; what it doesn't say, the user is asked for."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cgnet_deploy.checkpoint.convert import convert
from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.contracts import class_table
from cgnet_deploy.errors import CheckpointError, UsageError
from cgnet_deploy.spec import Color, InputSpec, Res
from tests.checkpoint.mmseg import ALL_FORMS, CONFIG_0X, CONFIG_1X, INPUT, NAMES, PALETTE, mmseg_file, turned
from tests.networks import drawn

MODEL = drawn(5, bias=True)
RES = Res(320, 480)


def written(folder: Path, meta: dict[str, Any]) -> Path:
    path = folder / "mine.pth"
    path.write_bytes(mmseg_file(MODEL, meta))
    return path


@pytest.mark.parametrize("meta", ALL_FORMS.values(), ids=ALL_FORMS)
def test_every_form_of_meta_gives_classes_and_contract(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, meta: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO)
    spec = load_checkpoint(written(tmp_path, meta)).spec
    assert spec.class_names == NAMES
    assert [list(colour) for colour in spec.palette] == PALETTE
    assert (spec.input, spec.ignore_label) == (INPUT, 255)
    (said,) = caplog.messages
    assert "names from " in said
    assert "mean, std, colour order" in said
    assert "size from scale of the test pipeline" in said or "size from img_scale of the test pipeline" in said


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("config", [CONFIG_0X, CONFIG_1X], ids=["0.x", "1.x"])
def test_the_colour_order_is_what_the_config_turns_to(tmp_path: Path, config: str, color: Color) -> None:
    meta = {"CLASSES": NAMES, "cfg": turned(config, color)}
    assert load_checkpoint(written(tmp_path, meta)).spec.input.color == color


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_our_own_format_keeps_it_and_mmsegmentations_gets_it_back(tmp_path: Path, color: Color) -> None:
    path = written(tmp_path, ALL_FORMS["1.x"])
    convert(path, tmp_path / "own.pth", "cgnet", color=color)
    spec = load_checkpoint(tmp_path / "own.pth").spec
    assert spec == replace(load_checkpoint(path).spec, input=replace(INPUT, color=color))
    convert(tmp_path / "own.pth", tmp_path / "back.pth", "mmseg")
    assert load_checkpoint(tmp_path / "back.pth").spec == spec
    meta = torch.load(tmp_path / "back.pth", weights_only=True)["meta"]
    assert meta["dataset_meta"] == {"classes": NAMES, "palette": PALETTE}  # where mmsegmentation 1.x looks for them


def test_what_is_said_of_another_format_goes_into_mmsegmentations(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\n", encoding="utf-8")
    path = written(tmp_path, {})
    convert(path, tmp_path / "said.pth", "mmseg", names=names, mean=(1, 2.5, 3), std=(4, 5, 6), color="bgr", res=RES)
    spec = load_checkpoint(tmp_path / "said.pth").spec
    assert (spec.class_names, spec.input) == (tuple("abcde"), InputSpec((1, 2.5, 3), (4, 5, 6), "bgr", RES))


def test_the_user_overrides_what_meta_says(tmp_path: Path) -> None:
    path, names = written(tmp_path, ALL_FORMS["1.x"]), tmp_path / "names.txt"
    names.write_text("a\nb 1,2,3\nc\nd #0a0b0c\ne\n", encoding="utf-8")
    spec = load_checkpoint(path, names=names, mean=(1, 2, 3), color="bgr", res=Res(320, 320)).spec
    assert spec.class_names == tuple("abcde")
    assert (spec.palette[1], spec.palette[3], spec.palette[0]) == ((1, 2, 3), (10, 11, 12), class_table(5).palette[0])
    assert (spec.input.mean, spec.input.std, spec.input.color) == ((1, 2, 3), INPUT.std, "bgr")
    assert spec.input.res == INPUT.res  # a size to export for is not the size that it was tested at


def test_a_count_that_nothing_names_is_numbered_where_the_contract_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    spec = load_checkpoint(path, mean=INPUT.mean, std=INPUT.std, color="rgb", res=INPUT.res).spec
    assert (spec.input, spec.class_names) == (INPUT, ("class 0", "class 1", "class 2", "class 3", "class 4"))
    assert len(set(spec.palette)) == 5


@pytest.mark.parametrize(
    ("meta", "options", "reason"),
    [
        ({}, {}, "no input contract is known for 5 classes in the mmseg format: give --mean, --std, --color, or"),
        ({}, {"mean": (1, 1, 1), "color": "rgb"}, "give --std, or choose one with --contract"),
        ({}, {"mean": (1, 1, 1), "std": (1, 1, 1), "color": "rgb"}, "doesn't say the size of its frames: give --res"),
        ({"cfg": "[" * 1_000_000}, {}, "mmseg format (cfg: longer than 131072 characters, so it was not read): give"),
        ({"CLASSES": NAMES[:4], "cfg": CONFIG_1X}, {}, "its meta names 4 classes, its weights have 5; name them with"),
        ({"CLASSES": NAMES, "PALETTE": PALETTE[1:], "cfg": CONFIG_1X}, {}, "its meta has 4 colours for 5 classes"),
        ({"CLASSES": ("", *NAMES[1:]), "cfg": CONFIG_1X}, {}, "class name '' is not 1 to 64 printable characters"),
        ({"CLASSES": NAMES, "PALETTE": [[0, 0, 999]] * 5, "cfg": CONFIG_1X}, {}, "not three values of 0 to 255"),
        ({"CLASSES": NAMES, "cfg": CONFIG_1X.replace("57.12", "0")}, {}, "is not three positive numbers"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(
    tmp_path: Path, meta: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises((UsageError, CheckpointError)) as caught:
        load_checkpoint(written(tmp_path, meta), **options)
    assert reason in str(caught.value)
    assert str(tmp_path / "mine.pth") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_of_another_count_are_refused(tmp_path: Path) -> None:
    (names := tmp_path / "names.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"--names has 2 classes, .*mine\.pth has 5; wanted one name a line"):
        load_checkpoint(written(tmp_path, ALL_FORMS["1.x"]), names=names)


def test_as_many_classes_as_camvid_are_not_taken_for_camvids(tmp_path: Path) -> None:
    (path := tmp_path / "mine.pth").write_bytes(mmseg_file(drawn(11, bias=True), {"CLASSES": tuple("abcdefghijk")}))
    with pytest.raises(UsageError, match="no input contract is known for 11 classes"):
        load_checkpoint(path)
