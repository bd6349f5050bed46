"""cgnet-doctor --data: what it understands of a data set, what it writes, and the problems that it finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.data.scenes import Scenes
from cgnet_deploy.doctor.cli import main
from tests.data.own import NAMES, PALETTE, WRITERS, Sample, grey, picture, put, samples_of, yaml_grey
from tests.data.trees import camvid_tree, cityscapes_tree


@pytest.fixture
def drawn() -> list[Sample]:
    """Two pictures a split, every class in each."""
    rng = np.random.default_rng(0)
    labels = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) % 4
    return [
        Sample(split, f"{split}{i}", rng.integers(0, 256, (12, 16, 3), np.uint8), labels)
        for split in ("train", "val")
        for i in range(2)
    ]


@pytest.mark.shared
@pytest.mark.parametrize("written", WRITERS)
def test_every_format_is_named_and_its_description_gives_the_same_labels(
    written: str, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, name, _ = WRITERS[written]
    write(tmp_path / "set", list(samples_of(shared / "camvid", 3)))
    result, described = tmp_path / "found.json", tmp_path / "again.yaml"
    assert main(["-q", "--data", str(tmp_path / "set"), "--json", str(result), "--write", str(described)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith(f"{tmp_path / 'set'}: {name}; 4 classes; ")
    found = json.loads(result.read_text())
    assert (found["format"], [one["name"] for one in found["classes"]]) == (name, list(NAMES))
    for split in ("train", "val"):
        before, after = (open_dataset(str(where), split) for where in (tmp_path / "set", described))
        labels = np.stack([before.labels(i) for i in range(len(before))])
        assert after.table == before.table
        assert np.array_equal(labels, np.stack([after.labels(i) for i in range(len(after))]))
        counts = np.bincount(labels.ravel(), minlength=256)
        assert found["splits"][split]["pixels"] == counts[:4].tolist()
        assert found["splits"][split]["ignored_pixels"] == counts[255]


@pytest.mark.parametrize("tree", [camvid_tree, cityscapes_tree])
def test_a_published_data_set_can_be_described(tree: Callable[[Path], Path], tmp_path: Path) -> None:
    where = tree(tmp_path / "set")
    assert main(["-q", "--data", str(where), "--write", str(tmp_path / "again.yaml")]) == 0
    before, after = (open_dataset(str(path), "val") for path in (where, tmp_path / "again.yaml"))
    ignored = before.labels(0) == before.table.ignore_label
    assert after.table.names == before.table.names
    assert np.array_equal(after.labels(0) == after.table.ignore_label, ignored)
    assert np.array_equal(after.labels(0)[~ignored], before.labels(0)[~ignored])


def test_the_sheet_shows_pictures_beside_their_labels(drawn: list[Sample], tmp_path: Path) -> None:
    yaml_grey(tmp_path / "set", drawn)
    assert main(["-q", "--data", str(tmp_path / "set"), "--sheet", str(tmp_path / "sheet.png")]) == 0
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] == 4 * 320
    colours = {tuple(colour) for colour in sheet[-30:, :, ::-1].reshape(-1, 3).tolist()}
    assert set(PALETTE) <= colours  # the legend's


def test_classes_without_names_are_numbered_in_the_description(
    drawn: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in drawn:
        picture(tmp_path / "img_dir" / one.split / f"{one.name}.png", one.frame)
        grey(tmp_path / "ann_dir" / one.split / f"{one.name}.png", one.labels * 10)
    assert main(["-q", "--data", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "nothing that names its classes" in captured.err
    assert "class 30" in captured.out
    assert main(["-q", "--data", str(tmp_path), "--write", str(tmp_path / "data.yaml")]) == 0
    dataset = open_dataset(str(tmp_path), "train")
    assert dataset.table.names == ("class 0", "class 10", "class 20", "class 30")
    assert np.array_equal(dataset.labels(0), drawn[0].labels)


@pytest.mark.parametrize("scenes", ["scenes", "scenes:7", "scenes:7:32x48"])
def test_drawn_data_cannot_be_described_and_none_is_drawn_first(
    scenes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Scenes, "frame", None)
    assert main(["--data", scenes, "--write", str(tmp_path / "data.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"cgnet-doctor: error: --write: {scenes} is drawn: there are no files that a description could name\n"
    )


def test_problems_are_listed_the_worst_first(
    drawn: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yaml_grey(tmp_path / "set", drawn)
    images, masks = tmp_path / "set/images", tmp_path / "set/masks"
    (images / "val/val0.png").write_bytes((images / "train/train0.png").read_bytes())
    grey(masks / "val/val1.png", np.full((12, 16), 9, np.uint8))
    flags = ["-q", "--data", str(tmp_path / "set"), "--json", str(tmp_path / "out.json")]
    assert main([*flags, "--sheet", str(tmp_path / "sheet.png"), "--write", str(tmp_path / "out.yaml")]) == 2
    captured = capsys.readouterr()
    error, warning = captured.out.splitlines()[-2:]
    assert "error: " in error
    assert "val1.png holds the label 9 (100 % of its pixels)" in error
    assert warning == "warning: 1 pictures are in train and val: what is measured on them says little"
    assert captured.err.count("\n") == 1
    assert not any((tmp_path / name).exists() for name in ("out.json", "sheet.png", "out.yaml"))


def test_what_is_absent_ignored_or_turned_is_a_warning(
    drawn: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mostly = np.full((12, 16), 255, np.uint8)
    mostly[0, 0] = 1
    yaml_grey(tmp_path, [one if one.split == "train" else one._replace(labels=mostly) for one in drawn])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(drawn[0].frame).save(tmp_path / "images/train/train0.png", exif=exif)
    assert main(["-q", "--data", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "warning: 1 pictures of train have an EXIF orientation" in out
    assert f"warning: no pixel in val: {NAMES[0]}, {NAMES[2]}, {NAMES[3]}" in out
    assert "warning: 99% of the pixels of val are ignored" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--write", "a.yaml"], "go with --data alone"),
        (["--data", "scenes", "--ckpt", "a.pth", "--sheet", "a.png"], "go with --data alone"),
        (["--data", "nowhere"], "does not exist"),
        (["--data", ".", "--sheet", "missing/a.png"], "can't be written"),
    ],
)
def test_bad_usage(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(flags) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_empty_list_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "own.yaml", "names: [a, b]\ntrain: train.txt\nmasks_dir: masks\n")
    put(tmp_path / "train.txt", "\n")
    assert main(["--data", str(tmp_path / "own.yaml")]) == 2
    assert "train.txt is empty" in capsys.readouterr().err
