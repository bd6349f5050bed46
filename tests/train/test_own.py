"""A recipe for any data set: what it takes from the pictures, and that the smallest and oddest sets train."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.errors import DataError
from cgnet_deploy.interrupts import Interrupts
from cgnet_deploy.spec import Res
from cgnet_deploy.train import training
from cgnet_deploy.train.cli import main
from cgnet_deploy.train.overrides import overridden, settings_of
from cgnet_deploy.train.own import Facts, crop_of, facts_of, own_recipe, test_size
from cgnet_deploy.train.recipe import Trapezoid
from cgnet_deploy.train.recipes import OWN, RECIPES
from tests.data.own import NAMES, PALETTE, Sample, mmseg, no_splits, yaml_grey
from tests.train.made_up import made_up, opened_as
from tests.train.runs import log_of, losses
from tests.train.test_initial import INPUT, saved
from tests.train.test_resume import largest_difference

test_size.__test__ = False  # type: ignore[attr-defined]  # its name begins as a test's does

FOUR = ("road", "vehicle", "person", "other")
SMALL = Res(40, 56)


def facts(images: int = 367, val_images: int = 101) -> Facts:
    res = Res(360, 480)
    return Facts("set", images, val_images, images, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), res, res, res)


@contextmanager
def interrupted_at_once() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    interrupts.received = signal.SIGINT
    yield interrupts


def run(out: Path, *more: str, small: bool = True) -> int:
    """cgnet-train without --recipe; --data is what `opened_as` gave."""
    sets = ("--set", "blocks=2,2", "--set", "log_every=1", "--set", "save_every=4") if small else ()
    return main(["--data", "anything", "--out", str(out), *sets, *more])


def test_mean_and_deviation_are_those_of_all_pixels_in_rgb() -> None:
    train = made_up(FOUR, [SMALL, Res(64, 48)])
    measured = facts_of(train, train)
    pixels = np.concatenate([frame.reshape(-1, 3)[:, ::-1] for frame, _ in train.samples]).astype(np.float64)
    assert measured.mean == pytest.approx(pixels.mean(0), abs=0.006)
    assert measured.std == pytest.approx(pixels.std(0), abs=0.006)
    assert measured.mean[0] < measured.mean[2]  # made-up frames are bluish
    assert (measured.smallest, measured.largest) == (SMALL, Res(64, 48))


def test_pictures_of_one_colour_have_a_deviation_to_divide_by() -> None:
    train = made_up(FOUR, [SMALL])
    train.samples[0][0][:] = 7
    measured = facts_of(train, train)
    assert (measured.mean, measured.std) == ((7.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([Res(361, 479)], Res(361, 479)),
        ([Res(100, 300), Res(200, 200), Res(300, 100)], Res(200, 200)),
        ([Res(3000, 4000)], Res(1256, 1672)),
        ([Res(20, 30)], Res(32, 48)),
        ([Res(8, 8000)], Res(32, 8192)),
    ],
)
def test_sizes(sizes: list[Res], wanted: Res) -> None:
    assert test_size(sizes) == wanted.checked()


def test_crops() -> None:
    assert crop_of(Res(360, 480)) == Res(240, 240)
    assert crop_of(Res(1024, 2048)) == Res(512, 512)
    assert crop_of(Res(33, 64)) == Res(32, 32)


def test_lengths_and_intervals() -> None:
    camvid, few, many = own_recipe(facts()), own_recipe(facts(20, 5)), own_recipe(facts(100_000, 20))
    assert (camvid.steps, few.steps, many.steps) == (60 * 91, 1000, 20_000)
    assert camvid.schedule == Trapezoid(rise=50, fall=2184)
    assert (camvid.validate_every, few.validate_every, many.validate_every) == (250, 100, 1000)
    short = own_recipe(facts(), steps=8)
    assert short.schedule == Trapezoid(rise=1, fall=3)
    assert own_recipe(facts(), epochs=2).epochs == 2
    timed = own_recipe(facts(), minutes=12)
    assert (timed.minutes, timed.steps, timed.epochs) == (12, None, None)
    assert own_recipe(facts(), epochs=2, minutes=12).minutes is None


def test_what_the_user_sets_stays() -> None:
    settings = ("schedule.fall=7", "validate_every=9", "augment.crop=64x96", "input.mean=9,8,7", "steps=50")
    recipe = own_recipe(facts(), settings=settings)
    assert (recipe.schedule, recipe.validate_every, recipe.steps) == (Trapezoid(5, 7), 9, 50)
    assert (recipe.augment.crop, recipe.input.mean) == (Res(64, 96), (9, 8, 7))


def test_the_contract_of_the_checkpoint_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    init = saved(tmp_path / "init.pth", ("sky", "road"), bias=True)
    with caplog.at_level("INFO"):
        recipe = own_recipe(facts(), init)
        own_recipe(facts(), init, settings=("input.color=rgb",))
    assert recipe.input == replace(INPUT, res=Res(360, 480))
    assert (recipe.blocks, recipe.classifier_bias, recipe.optimiser.lr) == ((2, 2), True, 1e-3)
    assert recipe.steps == 60 * 91 // 2
    assert "BGR minus (1.0, 2.0, 3.0), divided by (4.0, 5.0, 6.0): kept from" in caplog.text
    assert "RGB minus (1.0, 2.0, 3.0), divided by (4.0, 5.0, 6.0): as --set gives it" in caplog.text


def test_a_recipe_is_its_name_and_its_settings() -> None:
    for recipe in (own_recipe(facts()), own_recipe(facts(), minutes=0.1), own_recipe(facts(), epochs=3)):
        assert overridden(OWN, settings_of(recipe)) == recipe
    published = replace(RECIPES["camvid-official"], epochs=None, steps=3, amp=True)
    assert settings_of(published) == ("epochs=None", "steps=3", "amp=True")
    assert overridden(RECIPES["camvid-official"], settings_of(published)) == published


@pytest.mark.parametrize(
    ("names", "sizes", "only"),
    [
        (FOUR, [SMALL], None),  # one picture, a quarter of a batch
        (FOUR, [SMALL, SMALL], 2),  # three classes that never occur
        (("thing",), [SMALL] * 3, None),  # one class
        (FOUR, [SMALL, Res(70, 33), Res(9, 12), Res(33, 130), Res(40, 40)], None),  # many sizes
    ],
    ids=["one picture", "absent classes", "one class", "many sizes"],
)
def test_small_sets_train(
    names: tuple[str, ...],
    sizes: list[Res],
    only: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = made_up(names, sizes, only=only)
    opened_as(monkeypatch, train, made_up(names, sizes[:2], seed=1))
    assert run(tmp_path, "--iterations", "6") == 0
    output = capsys.readouterr()
    assert "| CGNet | M2N2 |" in output.out
    assert all(np.isfinite(losses(tmp_path)))
    saved_as = load_checkpoint(tmp_path / "last.pth")
    assert saved_as.spec.class_names == names
    assert saved_as.spec.palette == train.table.palette
    assert ("no pixel to learn road, vehicle, other from" in output.err) == (only == 2)
    assert ("repeated to fill a batch of 4" in output.err) == (len(sizes) < 4)


def test_a_tiny_set_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = made_up(FOUR, [SMALL, Res(48, 48)])
    opened_as(monkeypatch, train, train)
    assert run(tmp_path, "--iterations", "60") == 0
    curve = losses(tmp_path)
    assert np.mean(curve[-5:]) < 0.7 * np.mean(curve[:5])


def test_a_val_split_without_a_label_is_refused_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened_as(monkeypatch, made_up(FOUR, [SMALL]), made_up(FOUR, [SMALL], only=255))
    assert run(tmp_path, "--iterations", "2") == 2
    assert "nothing can be scored" in capsys.readouterr().err
    assert not (tmp_path / "log.jsonl").exists()


def test_empty_splits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, empty = made_up(FOUR, [SMALL]), made_up(FOUR, [])
    for train, val, split in ((empty, full, "train"), (full, empty, "val")):
        with pytest.raises(DataError, match=f"made-up has no picture in {split}"):
            facts_of(train, val)
    opened_as(monkeypatch, empty, full)
    assert run(tmp_path, "--iterations", "2") == 2
    assert not (tmp_path / "run.json").exists()


def test_a_run_of_minutes_ends_by_itself_with_its_rate_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = made_up(FOUR, [SMALL] * 2)
    opened_as(monkeypatch, train, train)
    assert run(tmp_path, "--time-limit", "0.1") == 0
    output = capsys.readouterr()
    assert "0.1 minutes, the last 40 % with a falling rate" in output.err
    rates = [line["lr"] for line in log_of(tmp_path) if "lr" in line]
    assert "| CGNet | M2N2 | 32x32 | trapezoid" in output.out
    assert rates[-1] < rates[-2] <= max(rates)
    assert load_checkpoint(tmp_path / "last.pth").provenance["step"] == f"{len(rates)} of {len(rates)}"


def test_a_resumed_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a checkpoint of other classes; stopped after a step, and gone on with by --resume alone: the same bits."""
    train = made_up(FOUR, [SMALL, Res(44, 60)])
    opened_as(monkeypatch, train, train)
    saved(tmp_path / "init.pth", ("Road", "sky", "person"))
    more = ("--init", str(tmp_path / "init.pth"), "--iterations", "10")
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert run(straight, *more) == 0
    assert "its 3 classes -> 4; classifier carried over for road, person" in capsys.readouterr().err
    assert run(stopped, *more, "--time-limit", "0") == 0
    assert "time limit at step 1 of 10" in capsys.readouterr().err
    (tmp_path / "init.pth").unlink()  # it isn't needed any more
    assert run(stopped, "--resume", small=False) == 0
    assert largest_difference(straight / "last.pth", stopped / "last.pth") == 0
    assert losses(straight) == losses(stopped)
    one, other = (load_checkpoint(folder / "last.pth") for folder in (straight, stopped))
    assert one.spec == other.spec
    assert one.provenance == other.provenance
    assert other.provenance["started_from"].startswith("init.pth, sha256 ")
    assert run(stopped, "--resume", "--set", "seed=3", small=False) == 2
    assert "is of another run (seed was 0, is 3)" in capsys.readouterr().err


def test_a_run_of_minutes_that_is_stopped_goes_on_within_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped while its length is open, and again, by a limit of that call, while it is fixed."""
    train = made_up(FOUR, [SMALL])
    opened_as(monkeypatch, train, train)
    with monkeypatch.context() as patch:
        patch.setattr(training, "caught_interrupts", interrupted_at_once)
        assert run(tmp_path, "--time-limit", "1") == 130  # 128 + SIGINT, as shells expect
    assert "at step 0; --resume" in capsys.readouterr().err
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["length"]["steps"] is None
    assert state["length"]["before_s"] > 0
    state["length"]["before_s"] = 1000.0  # all of its time is gone: one step is left
    torch.save(state, tmp_path / "last.pt")
    assert run(tmp_path, "--resume", "--time-limit", "0", small=False) == 0
    assert load_checkpoint(tmp_path / "last.pth").provenance["step"] == "1 of 2"
    assert run(tmp_path, "--resume", small=False) == 0
    assert load_checkpoint(tmp_path / "last.pth").provenance["step"] == "2 of 2"


def test_a_damaged_run_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = made_up(FOUR, [SMALL])
    opened_as(monkeypatch, train, train)
    assert run(tmp_path, "--iterations", "1") == 0
    whole = (tmp_path / "run.json").read_text()
    for text in ("", "[]", whole.replace('"own"', '"mine"'), whole.replace("blocks=", "block="), "x" * 70_000):
        (tmp_path / "run.json").write_text(text)
        assert run(tmp_path, "--resume", small=False) == 2
        assert "run.json can't be read" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("write", [yaml_grey, mmseg, no_splits], ids=lambda write: write.__name__)
def test_files_in_a_format_of_ones_own_train(
    write: Callable[[Path, list[Sample]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From CamVid's classes: road is carried over; names and colours of the files go into the checkpoint."""
    drawn = made_up(NAMES, [SMALL] * 6)
    samples = [Sample("val" if i > 3 else "train", f"{i}", *drawn.samples[i]) for i in range(6)]
    write(tmp_path / "data", samples)
    saved(tmp_path / "init.pth", ("Sky", "Road", "Car"))
    args = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--init", str(tmp_path / "init.pth")]
    assert main([*args, "--iterations", "3"]) == 0
    assert "carried over for road; drawn anew for vehicle, person, other" in capsys.readouterr().err
    spec = load_checkpoint(tmp_path / "run" / "best.pth").spec
    assert spec.class_names == NAMES
    assert spec.palette == PALETTE
    assert spec.input == replace(INPUT, res=SMALL)
