"""Data sets of one's own: in every format the same labels, and what doesn't fit is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.doctor.cli import main as doctor_main
from cgnet_deploy.errors import DataError
from cgnet_deploy.train.recipe import ByFrequency
from cgnet_deploy.train.statistics import class_weights
from tests.data.own import (
    IGNORE,
    NAMES,
    PALETTE,
    WRITERS,
    Sample,
    camvid_colours,
    cvat,
    grey,
    labelme,
    mmseg,
    picture,
    put,
    samples_of,
    yaml_grey,
)

SIZE = (12, 16)
COUNT = 5  # frames of each split of CamVid


@pytest.fixture(scope="module")
def samples(shared: Path) -> list[Sample]:
    return list(samples_of(shared / "camvid", COUNT))


@pytest.mark.shared
@pytest.mark.parametrize("written", WRITERS)
def test_every_format_gives_the_same_labels_and_weights(written: str, samples: list[Sample], tmp_path: Path) -> None:
    write, format_name, has_splits = WRITERS[written]
    write(tmp_path, samples)
    both = open_dataset(str(tmp_path), "trainval")
    assert both.name == format_name
    assert (both.table.names, both.table.ignore_label) == (NAMES, IGNORE)
    if written != "labelme":  # which stores no colours that could be told from VOC's
        assert both.table.palette == PALETTE
    truth = {one.name: one.labels for one in samples}
    names = [both.identifier(i).removesuffix("_leftImg8bit") for i in range(len(both))]  # Cityscapes' suffix
    labels = {name: both.labels(i) for i, name in enumerate(names)}
    assert labels.keys() == truth.keys()
    assert all(np.array_equal(labels[key], truth[key]) for key in truth)
    if not written.startswith("mmseg"):  # whose pictures are JPEG
        frames = {name: both.frame(i) for i, name in enumerate(names)}
        assert all(np.array_equal(frames[one.name], one.frame) for one in samples)
    if has_splits:
        train = open_dataset(str(tmp_path), "train")
        assert names[: len(train)] == [one.name for one in samples if one.split == "train"]
    counts = np.bincount(np.concatenate([one.labels.ravel() for one in samples]), minlength=256)[: len(NAMES)]
    wanted = 1 / np.log(1.1 + counts / counts.sum())
    np.testing.assert_allclose(class_weights(ByFrequency(), both), wanted, rtol=1e-6)


def test_a_share_without_splits_is_the_same_everywhere(drawn: list[Sample], tmp_path: Path) -> None:
    for folder, order in (("one", drawn), ("other", drawn[::-1])):
        camvid_colours(tmp_path / folder, order)
    chosen = []
    for folder in ("one", "other"):
        val = open_dataset(str(tmp_path / folder), "val")
        chosen.append([val.identifier(i) for i in range(len(val))])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 1


def test_1_2_and_4_bits_are_read_as_stored(drawn: list[Sample], tmp_path: Path) -> None:
    yaml_grey(tmp_path, drawn)
    for bits in (2, 4):
        Image.fromarray(drawn[0].labels).save(tmp_path / "masks/train/train0.png", bits=bits)
        assert np.array_equal(open_dataset(str(tmp_path), "train").labels(0), drawn[0].labels)
    Image.fromarray(drawn[0].labels > 1).save(tmp_path / "masks/train/train0.png")
    assert np.array_equal(open_dataset(str(tmp_path), "train").labels(0), (drawn[0].labels > 1).astype(np.uint8))


def test_hidden_and_system_files_are_no_data(drawn: list[Sample], tmp_path: Path) -> None:
    yaml_grey(tmp_path, drawn)
    for name in ("images/train/._train0.png", "masks/train/._train0.png", "images/train/.DS_Store", "images/Thumbs.db"):
        put(tmp_path / name, b"\0\5\26\7")
    assert len(open_dataset(str(tmp_path), "train")) == 2


def described(folder: Path, **changes: object) -> None:
    """Change the description; None takes an entry out."""
    entries = yaml.safe_load((folder / "data.yaml").read_text()) | changes
    put(folder / "data.yaml", yaml.safe_dump({key: value for key, value in entries.items() if value is not None}))


def as_jpeg(path: Path) -> Path:
    """Still called .png, as tools that save by the pixels' kind do."""
    Image.open(path).save(path, "JPEG")
    return path


def as_binary(path: Path) -> Path:
    if path.suffix == ".yaml":
        described(path.parent, names=["background", "road"], palette=None)
    else:
        grey(path, np.where(np.eye(*SIZE, dtype=bool), 255, 0).astype(np.uint8))
    return path


def listed(folder: Path, lines: str) -> None:
    put(folder / "list.txt", lines)
    described(folder, train="list.txt")


def emptied(folder: Path) -> None:
    for path in (folder / "images" / "train").iterdir():
        path.unlink()


def bomb() -> str:
    levels = "".join(f"{chr(97 + i)}: &{chr(97 + i)} [{', '.join([f'*{chr(96 + i)}'] * 9)}]\n" for i in range(1, 9))
    return f"names: [x, y]\na: &a [x, x, x, x, x, x, x, x, x]\n{levels}"


def circle(folder: Path) -> None:
    (folder / "images" / "train" / "round").symlink_to(folder / "images" / "train")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "masks saved as JPEG": (
        lambda d: [as_jpeg(path) for path in d.glob("masks/*/*")],
        "a mask saved as JPEG has other values at every edge",
    ),
    "binary masks": (
        lambda d: [as_binary(path) for path in (*d.glob("masks/*/*"), d / "data.yaml")],
        "are they binary",
    ),
    "a value that is no class": (
        lambda d: grey(d / "masks/train/train0.png", np.full((12, 16), 9, np.uint8)),
        "holds the label 9 (100 % of its pixels), which YAML doesn't have: wanted 0 to 3, or 255",
    ),
    "names shifted by one": (
        lambda d: grey(d / "masks/train/train0.png", np.full((12, 16), 4, np.uint8)),
        "do the names start at value 1?",
    ),
    "a colour that is no class": (
        lambda d: Image.new("RGB", (16, 12), (1, 200, 3)).save(d / "masks/train/train0.png"),
        "holds the colour 1,200,3 (100 % of its pixels)",
    ),
    "colours off by anti-aliasing": (
        lambda d: Image.new("RGB", (16, 12), (128, 70, 128)).save(d / "masks/train/train0.png"),
        "the nearest is 128,64,128 (road): anti-aliased edges",
    ),
    "colours in BGR": (
        lambda d: Image.new("RGB", (16, 12), (142, 0, 0)).save(d / "masks/train/train0.png"),
        "with R and B swapped it is 'vehicle'",
    ),
    "a mask of another size": (
        lambda d: grey(d / "masks/train/train0.png", np.zeros((6, 8), np.uint8)),
        "is 6x8, its image train0.png is 12x16; export masks at the size of the pictures",
    ),
    "a mask that is missing": (lambda d: (d / "masks/train/train0.png").unlink(), "has no mask"),
    "two masks for one picture": (
        lambda d: grey(d / "masks/train/train0.bmp", np.zeros((12, 16), np.uint8)),
        "has two masks",
    ),
    "an empty split": (emptied, "holds no picture"),
    "a list with missing paths": (
        lambda d: listed(d, "images/train/train0.png\nimages/x.png\n"),
        "x.png is missing (1 of 2 lines)",
    ),
    "an empty list": (lambda d: listed(d, "\n"), "list.txt is empty"),
    "a split that is no folder": (lambda d: described(d, train="images/trainn"), "is neither a folder nor a text file"),
    "an absolute path": (lambda d: described(d, train="/etc"), "leads out of the data set"),
    "a path upwards": (lambda d: described(d, train="../../etc"), "leads out of the data set"),
    "YAML that is a list": (lambda d: put(d / "data.yaml", "- a\n- b\n"), "is a list; wanted a mapping"),
    "YAML that is none": (lambda d: put(d / "data.yaml", "names: [a, b\n"), "not YAML"),
    "an anchor bomb": (lambda d: put(d / "data.yaml", bomb()), "anchors and aliases are not read"),
    "a type of Python": (
        lambda d: put(d / "data.yaml", "names: !!python/object/apply:os.system ['true']\n"),
        "not YAML",
    ),
    "a megabyte of brackets": (lambda d: put(d / "data.yaml", "names: " + "[" * 1_000_000), "has more than"),
    "brackets, nested": (lambda d: put(d / "data.yaml", "names: " + "[" * 5_000), "nested deeper than 8"),
    "names that occur twice": (lambda d: described(d, names=["road", "car", "road", "sky"]), "'road' occurs twice"),
    "a name that is a number": (lambda d: described(d, names=["road", 7, "car", "sky"]), "class name 7 is not text"),
    "256 classes": (lambda d: described(d, names=[f"c{i}" for i in range(256)], palette=None), "names 256 classes"),
    "no names": (lambda d: described(d, names=None), "names is missing"),
    "names with a gap": (lambda d: described(d, names={0: "a", 2: "b"}), "the numbers of names are not 0 to 1"),
    "nc that contradicts": (lambda d: described(d, nc=5), "nc is 5, but 4 classes have names"),
    "a short palette": (lambda d: described(d, palette=[[1, 2, 3]]), "a palette of 1 colours for 4 classes"),
    "no masks_dir": (lambda d: described(d, masks_dir=None), "masks_dir is missing"),
    "a value of no class": (lambda d: described(d, values={0: "sky"}), "'sky' in values is no class"),
    "a name that is too long": (lambda d: described(d, path="x" * 5000), "can't be read: File name too long"),
    "a key that is there twice": (
        lambda d: put(d / "data.yaml", "names: {0: a, 0: b}\n"),
        "the key '0' is there twice",
    ),
    "a link in a circle": (circle, "is a link in a circle"),
}


def read_all(folder: Path) -> None:
    dataset = open_dataset(str(folder), "train")
    for i in range(len(dataset)):
        dataset.labels(i)


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_data_set_is_one_clear_line(
    fault: str, drawn: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, message = BAD[fault]
    yaml_grey(tmp_path, drawn)
    spoil(tmp_path)
    with pytest.raises(DataError) as caught:
        read_all(tmp_path)
    assert message in str(caught.value)
    before = set(tmp_path.iterdir())
    written = [f for flag in ("json", "write", "sheet") for f in (f"--{flag}", str(tmp_path / f"out.{flag}"))]
    assert doctor_main(["-q", "--data", str(tmp_path), *written]) == 2
    assert set(tmp_path.iterdir()) == before
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("write", "spoil", "message"),
    [
        (cvat, lambda d: (d / "labelmap.txt").unlink(), "names no classes: labelmap.txt (CVAT)"),
        (cvat, lambda d: put(d / "labelmap.txt", "road:1,2::\n"), "is not name:R,G,B::"),
        (cvat, lambda d: put(d / "labelmap.txt", "a:1,2,3::\nb:1,2,3::\n"), "the colour 1,2,3 stands for two classes"),
        (labelme, lambda d: put(d / "ImageSets/Segmentation/train.txt", "../../x\n"), "leads out of the data set"),
        (labelme, lambda d: (d / "JPEGImages/train0.png").unlink(), "holds 0 pictures called train0"),
        (mmseg, lambda d: (d / "data.yaml").unlink(), "nothing that names its classes; write"),
        (camvid_colours, lambda d: put(d / "label_colors.txt", "1 2 300 Road\n"), "is not R G B and a class name"),
        (
            camvid_colours,
            lambda d: grey(d / "LabeledApproved_full/x_L.png", np.zeros(SIZE, np.uint8)),
            "has no picture",
        ),
        (mmseg, lambda d: picture(d / "img_dir/train/x.jpg", np.zeros((2, 2, 3), np.uint8)), "has no mask x"),
    ],
)
def test_what_is_wrong_in_a_format_is_named(
    write: Callable[[Path, list[Sample]], None],
    spoil: Callable[[Path], object],
    message: str,
    drawn: list[Sample],
    tmp_path: Path,
) -> None:
    write(tmp_path, drawn)
    spoil(tmp_path)
    with pytest.raises(DataError) as caught:
        open_dataset(str(tmp_path), "train")
    assert message in str(caught.value)


def test_a_command_ends_with_code_2_and_writes_nothing(
    drawn: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yaml_grey(tmp_path / "set", drawn)
    (tmp_path / "set/masks/val/val0.png").unlink()
    weights = Path(__file__).resolve().parents[2] / "cgnet_deploy" / "weights" / "scenes.pth"
    flags = ["--ckpt", str(weights), "--data", str(tmp_path / "set"), "--json", str(tmp_path / "out.json")]
    assert doctor_main(["-q", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "val0.png has no mask" in line
    assert not (tmp_path / "out.json").exists()
