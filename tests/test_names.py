from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.errors import UsageError
from cgnet_deploy.names import read_names


def test_names_may_have_colours_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffroad 128,64,128\r\n\r\n traffic light  #faaa1e\r\n#1 lane\r\nperson\r\n".encode())
    table = read_names(path)
    assert table.names == ("road", "traffic light", "#1 lane", "person")
    assert table.palette[:2] == ((128, 64, 128), (250, 170, 30))
    assert len(set(table.palette)) == 4
    assert table.ignore_label == 255


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names 0 classes; there may be 1 to 255"),
        (b"\n".join(b"%d" % i for i in range(256)), "names 256 classes; there may be 1 to 255"),
        (b"road\ncar\nroad\n", "'road' occurs twice"),
        (b"road 300,0,0", "the colour of 'road' is 300,0,0; each must be 0 to 255"),
        (b"x" * 65, "is not 1 to 64 printable characters"),
        (b"a\x07b", "is not 1 to 64 printable characters"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"a\n" * 40_000, "is larger than 64 KiB"),
    ],
    ids=["empty", "too many", "twice", "colour", "long", "bell", "binary", "large"],
)
def test_what_is_no_list_of_names_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_names(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_list_of_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read: Is a directory"):
        read_names(tmp_path)
