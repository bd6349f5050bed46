"""Packing and unpacking with packages made here: the index is a folder, and the network is cut off where it can be."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from cgnet_deploy.bench.tools.gpu import pack
from cgnet_deploy.bench.tools.gpu.wheels import Target, described, gather
from cgnet_deploy.errors import CgnetError, UsageError
from cgnet_deploy.files import sha256_of

HERE = "{}.{}".format(*sys.version_info)
TARGET = Target((3, 12), 28)
WHEEL = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: {}\n"

BACKEND = '''
"""The least build backend: one wheel, with one module that says what built it."""
import zipfile, {needed}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("{name}.py", "BUILT_BY = " + repr({needed}.VERSION))
        wheel.writestr(info + "/METADATA", {metadata!r})
        wheel.writestr(info + "/WHEEL", {wheel!r})
        wheel.writestr(info + "/RECORD", "")
    return name
'''


def metadata(name: str, version: str, needs: Sequence[str]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    return "\n".join(lines) + "\n"


def wheel(folder: Path, name: str, version: str, *needs: str, tag: str = "py3-none-any", payload: int = 0) -> Path:
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"VERSION = {version!r}\n# " + os.urandom(payload).hex())
        file.writestr(f"{info}/METADATA", metadata(name, version, needs))
        file.writestr(f"{info}/WHEEL", WHEEL.format(tag))
        file.writestr(f"{info}/RECORD", "")
    return path


def sources(folder: Path, name: str, version: str, needs: Sequence[str], built_by: str) -> Path:
    told = metadata(name, version, needs)
    files = {
        "PKG-INFO": told,
        "pyproject.toml": f'[build-system]\nrequires = ["{built_by}"]\nbuild-backend = "own"\nbackend-path = ["."]\n',
        "own.py": BACKEND.format(
            name=name,
            version=version,
            metadata=told,
            needed=re.split("[<>=]", built_by)[0],
            wheel=WHEEL.format("py3-none-any"),
        ),
    }
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip knows of the world."""
    folder = tmp_path / "index"
    folder.mkdir()
    only(monkeypatch, folder)
    return folder


def only(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(folder))


def gathered(tmp_path: Path, *wanted: str, target: Target = TARGET) -> dict[str, str]:
    (folder := tmp_path / "gathered").mkdir()
    packages = gather(wanted, target, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(package.file.name for package in packages)
    return {package.name: package.version for package in packages}


def test_what_is_needed_comes_along_as_the_target_judges_it(index: Path, tmp_path: Path) -> None:
    wheel(
        index,
        "top",
        "1.0",
        "old; python_version < '3.12'",
        "new; python_version >= '3.12'",
        "more; extra == 'x'",
        "mac; sys_platform == 'darwin'",
        tag="cp312-cp312-manylinux_2_17_x86_64",
    )
    for name in ("old", "new", "mac", "more"):
        wheel(index, name, "1")
    assert gathered(tmp_path, "top") == {"top": "1.0", "new": "1"}


def test_extras_bring_what_they_need(index: Path, tmp_path: Path) -> None:
    wheel(index, "top", "1.0", "more>=2; extra == 'x'")
    wheel(index, "above", "1.0", "top[x]")
    wheel(index, "more", "2")
    assert gathered(tmp_path, "top", "above") == {"top": "1.0", "above": "1.0", "more": "2"}


def test_two_that_need_a_third_get_one_that_suits_both(index: Path, tmp_path: Path) -> None:
    wheel(index, "one", "1.0", "third")
    wheel(index, "two", "1.0", "third<2")
    wheel(index, "third", "1.5")
    wheel(index, "third", "2.5")
    assert gathered(tmp_path, "one", "two") == {"one": "1.0", "two": "1.0", "third": "1.5"}


def test_two_that_can_not_go_together_are_told(index: Path, tmp_path: Path) -> None:
    wheel(index, "one", "1.0", "third>2")
    wheel(index, "two", "1.0", "third<2")
    wheel(index, "third", "1.5")
    wheel(index, "third", "2.5")
    with pytest.raises(CgnetError, match=r"third[<>,12]+ can't be had for Python 3\.12, glibc 2\.28, x86-64: ERROR"):
        gathered(tmp_path, "one", "two")


def test_only_what_the_target_can_load_is_taken(index: Path, tmp_path: Path) -> None:
    wheel(index, "top", "1.0", tag="cp312-cp312-manylinux_2_27_x86_64")
    wheel(index, "top", "2.0", tag="cp312-cp312-manylinux_2_34_x86_64")
    wheel(index, "top", "3.0", tag="cp312-cp312-manylinux_2_28_aarch64")
    wheel(index, "top", "4.0", tag="cp313-cp313-manylinux_2_28_x86_64")
    assert gathered(tmp_path, "top") == {"top": "1.0"}


@pytest.mark.parametrize("wanted", ["not a package!", "top @ file:///etc/passwd"])
def test_what_is_no_requirement_is_refused(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"top|not a package"):
        gathered(tmp_path, wanted)


def test_a_file_that_is_no_package_is_told(tmp_path: Path) -> None:
    (broken := tmp_path / "broken-1-py3-none-any.whl").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(CgnetError, match=r"broken-1-py3-none-any\.whl is no Python package"):
        described(broken)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of sources that need to be built, of something large, and of what both need."""
    pytest.importorskip("tomllib", reason="sources are read with Python 3.11 or later")
    index = tmp_path_factory.mktemp("index")
    wheel(index, "built_by", "3.0")
    wheel(index, "helper", "1.2", payload=1_300_000)
    sources(index, "needs_building", "0.7", ["helper>=1"], "built_by>=2")
    out = tmp_path_factory.mktemp("made") / "pack"
    with pytest.MonkeyPatch.context() as patch:
        only(patch, index)
        assert pack.main(["--python", HERE, "--out", str(out), "--part-mib", "1", "needs_building"]) == 0
    shutil.rmtree(index)
    return out


@pytest.fixture
def packed(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "pack"))


def test_the_parts_are_of_the_size_asked_for_and_their_sums_are_told(packed: Path) -> None:
    manifest = json.loads((packed / "manifest.json").read_text())
    assert [part["file"] for part in manifest["parts"]] == ["pack.tar.000", "pack.tar.001", "pack.tar.002"]
    assert [part["bytes"] for part in manifest["parts"][:-1]] == [1 << 20] * 2
    for part in manifest["parts"]:
        assert sha256_of(packed / part["file"]) == part["sha256"]
    assert {package["name"] for package in manifest["packages"]} == {"built_by", "helper", "needs_building"}
    assert (packed / "requirements.txt").read_text() == f"# python {HERE}\nneeds_building==0.7\n"
    listed = dict(line.split()[::-1] for line in (packed / "SHA256SUMS").read_text().splitlines())
    assert listed == {path.name: sha256_of(path) for path in packed.iterdir() if path.name != "SHA256SUMS"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but pip."""
    venv.create(folder := tmp_path_factory.mktemp("empty"), with_pip=True)
    return folder / "bin" / "python"


def unpacked(packed: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """unpack.sh in a network namespace without a network, where this machine lets us make one."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if not shutil.which(alone[0]) or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        alone = []
    return subprocess.run(
        [*alone, "sh", str(packed / "unpack.sh"), *argv], capture_output=True, text=True, check=False, timeout=120
    )


def test_it_installs_into_an_empty_environment_without_a_network(packed: Path, empty: Path) -> None:
    run = unpacked(packed, str(empty), "--no-compile")
    assert run.returncode == 0, run.stderr
    script = "import needs_building, helper; print(needs_building.BUILT_BY, helper.VERSION)"
    told = subprocess.run([str(empty), "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == "3.0 1.2\n"


def test_one_that_can_not_be_installed_leaves_the_others(packed: Path, empty: Path, tmp_path: Path) -> None:
    altered(packed, f"# python {HERE}\nneeds_building==9\nhelper==1.2\n")
    run = unpacked(packed, str(empty), "--target", str(tmp_path / "site"))
    assert run.returncode == 1
    assert run.stderr.endswith("unpack.sh: error: not installed, for the reasons above: needs_building==9\n")
    assert (tmp_path / "site" / "helper.py").exists()


def altered(packed: Path, requirements: str) -> None:
    """Ask for something else, in a pack whose sums are right."""
    (packed / "requirements.txt").write_text(requirements)
    names = re.findall(r"\S+$", (packed / "SHA256SUMS").read_text(), re.MULTILINE)
    (packed / "SHA256SUMS").write_text("".join(f"{sha256_of(packed / name)}  {name}\n" for name in names))


def damage(packed: Path, kind: str) -> None:
    part = packed / "pack.tar.001"
    match kind:
        case "a part is missing":
            part.unlink()
        case "a part is damaged":
            content = bytearray(part.read_bytes())
            content[1000] ^= 1
            part.write_bytes(content)
        case "a part is cut":
            part.write_bytes(part.read_bytes()[:-1])
        case "the list was altered":
            (packed / "requirements.txt").write_text(f"# python {HERE}\nsomething_else==1\n")
        case "the sums are missing":
            (packed / "SHA256SUMS").unlink()
        case "another Python":
            altered(packed, "# python 3.7\nneeds_building==0.7\n")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("a part is missing", "a file is missing or damaged: copy it again"),
        ("a part is damaged", "a file is missing or damaged: copy it again"),
        ("a part is cut", "a file is missing or damaged: copy it again"),
        ("the list was altered", "a file is missing or damaged: copy it again"),
        ("the sums are missing", "SHA256SUMS is missing"),
        ("another Python", "these packages are for Python 3.7"),
    ],
)
def test_nothing_is_installed_from_a_damaged_pack(kind: str, told: str, packed: Path) -> None:
    damage(packed, kind)
    run = unpacked(packed, sys.executable, "--dry-run")
    assert run.returncode == 2, run.stdout
    assert told in run.stderr
    assert "Would install" not in run.stdout


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").write_text("kept")
    assert pack.main(["--python", HERE, "--out", str(tmp_path), "anything"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert (tmp_path / "old").read_text() == "kept"


@pytest.mark.parametrize("flag", [["--python", "2.7"], ["--python", HERE, "--glibc", "musl"]])
def test_a_target_that_makes_no_sense_is_refused(flag: list[str], tmp_path: Path) -> None:
    with pytest.raises((SystemExit, UsageError)):
        pack.parser().parse_args([*flag, "--out", str(tmp_path / "pack")])
