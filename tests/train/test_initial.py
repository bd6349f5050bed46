"""Starting from a checkpoint of other classes: rows of the classifier go where their names go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cgnet_deploy.checkpoint.writing import save_checkpoint, save_mmseg
from cgnet_deploy.errors import UsageError
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import InputSpec, ModelSpec, Res
from cgnet_deploy.train.initial import Initial, matches, started
from cgnet_deploy.train.learner import fresh
from cgnet_deploy.train.recipes import OWN

RECIPE = replace(OWN, blocks=(2, 2))
INPUT = InputSpec((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "bgr", Res(48, 64))


def saved(path: Path, names: tuple[str, ...], *, bias: bool = False) -> Initial:
    torch.manual_seed(7)
    spec = ModelSpec(INPUT, names, tuple((i, i, i) for i in range(len(names))), 255, (2, 2))
    save_checkpoint(path, CGNet(len(names), (2, 2), classifier_bias=bias), spec, {})
    return Initial.read(path)


def test_names_match_but_for_case_and_the_exact_one_goes_first() -> None:
    assert matches(("Road", "car", "tree"), ("tree", "ROAD", "sky")) == {0: 1, 2: 0}
    assert matches(("car", "Car"), ("CAR", "car")) == {0: 1, 1: 0}
    assert matches(("traffic light",), ("traffic", "light", "traffic  light")) == {}


def test_rows_are_carried_over_by_name_and_the_others_drawn_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init = saved(tmp_path / "init.pth", ("sky", "road", "car"), bias=True)
    recipe = replace(RECIPE, classifier_bias=True)
    with caplog.at_level("INFO"):
        model = started(recipe, ("person", "Car", "Sky", "sea"), init)
    new, old = model.state_dict(), init.model.state_dict()
    drawn = fresh(recipe, 4).state_dict()
    for part in ("classifier.weight", "classifier.bias"):
        assert torch.equal(new[part][1], old[part][2])
        assert torch.equal(new[part][2], old[part][0])
        for row in (0, 3):
            assert torch.equal(new[part][row], drawn[part][row])
    others = [key for key in old if not key.startswith("classifier")]
    assert others
    assert all(torch.equal(new[key], old[key]) for key in others)
    assert "its 3 classes -> 4; classifier carried over for Car, Sky; drawn anew for person, sea" in caplog.text


def test_equal_classes_give_equal_weights(tmp_path: Path) -> None:
    init = saved(tmp_path / "init.pth", ("sky", "road"))
    new, old = started(RECIPE, ("sky", "road"), init).state_dict(), init.model.state_dict()
    assert all(torch.equal(new[key], old[key]) for key in old)


def test_another_depth_is_refused_with_the_setting_that_helps(tmp_path: Path) -> None:
    init = saved(tmp_path / "init.pth", ("sky",))
    with pytest.raises(UsageError, match=r"has blocks \(2, 2\), the recipe \(3, 21\); --set blocks=2,2"):
        started(OWN, ("sky",), init)


def test_a_file_that_says_nothing_of_its_classes_gives_all_but_the_classifier(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(7)
    save_mmseg(tmp_path / "init.pth", CGNet(5, (2, 2)), {})
    init = Initial.read(tmp_path / "init.pth")
    assert (init.names, init.input) == ((), None)
    assert "doesn't say what its input is: the data set's mean and deviation are used" in caplog.text
    model = started(replace(RECIPE, classifier_bias=True), ("sky", "road"), init)
    drawn = fresh(replace(RECIPE, classifier_bias=True), 2)
    assert torch.equal(model.classifier.weight, drawn.classifier.weight)
    new, old = model.state_dict(), init.model.state_dict()
    assert all(torch.equal(new[key], old[key]) for key in old if not key.startswith("classifier"))
