"""Packages and all that they need, gathered for another machine: for its Python and its C library, not for ours.

pip's own resolver reads a package's conditions (`python_version < "3.11"`) as the running interpreter does, whatever
target it is told. Here each package is downloaded alone, its metadata is read, and what it needs is judged by the
target and queued. Where two packages want different versions of a third, that one is asked for again with both
conditions. A package that comes as sources only is built over there: what it needs to be built comes along too.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any

from cgnet_deploy.errors import CgnetError, UsageError, one_line, require
from cgnet_deploy.files import sha256_of

LEGACY = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}  # glibc 2.N by an older name
BUILT_BY = ("setuptools>=40.8.0",)  # what PEP 517 takes for sources that name no build backend
MAX_METADATA_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """Linux on x86-64. python: (3, 12). glibc: the N of 2.N that the machine has, or a later one."""

    python: tuple[int, int]
    glibc: int

    @property
    def version(self) -> str:
        return "{}.{}".format(*self.python)

    @property
    def pip_options(self) -> list[str]:
        tags = [f"manylinux_2_{n}" for n in range(self.glibc, 4, -1)]
        tags += [name for n, name in LEGACY.items() if n <= self.glibc] + ["linux"]
        platforms = [part for tag in tags for part in ("--platform", f"{tag}_x86_64")]
        return ["--python-version", self.version, "--implementation", "cp", *platforms]

    @property
    def conditions(self) -> dict[str, str]:
        """What a requirement's marker may ask for (PEP 508)."""
        return {
            "python_version": self.version,
            "python_full_version": f"{self.version}.0",
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "platform_release": "",
            "platform_version": "",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "implementation_version": f"{self.version}.0",
        }


@dataclass(frozen=True, slots=True)
class Package:
    """One file. needs: its requirements, extras included. builds_with: what its sources need to be built."""

    name: str
    version: str
    file: Path
    needs: tuple[str, ...]
    builds_with: tuple[str, ...]


def gather(wanted: Sequence[str], target: Target, folder: Path) -> tuple[Package, ...]:
    """Download `wanted` (as pip spells requirements) and all that they need into `folder`.

    Raises UsageError for what is no requirement, CgnetError for what can't be had or can't go together.
    """
    return _Gathering(target, folder, _requirements()).all_of(wanted)


def _requirements() -> Any:
    """The library that pip itself reads requirements with."""
    require("packaging", extra="dev")
    return importlib.import_module("packaging.requirements")


class _Gathering:
    """The state of one `gather`: what was asked for under each name, and what was found."""

    def __init__(self, target: Target, folder: Path, requirements: Any) -> None:
        self.target, self.folder, self.requirements = target, folder, requirements
        self.canonical: Callable[[str], str] = importlib.import_module("packaging.utils").canonicalize_name
        self.conditions: dict[str, Any] = {}  # name -> the SpecifierSet of all who asked
        self.extras: dict[str, set[str]] = {}
        self.found: dict[str, Package] = {}

    def all_of(self, wanted: Sequence[str]) -> tuple[Package, ...]:
        queue = deque(self._parsed(text) for text in wanted)
        while queue:
            queue.extend(self._parsed(text) for text in self._one(queue.popleft()))
        return tuple(self.found[name] for name in sorted(self.found))

    def _parsed(self, text: str) -> Any:
        try:
            return self.requirements.Requirement(text)
        except self.requirements.InvalidRequirement as error:
            raise UsageError(f"{text!r} is not a package as pip spells it: {one_line(error)}") from error

    def _one(self, asked: Any) -> Iterator[str]:
        """See to one requirement; what it needs in turn."""
        if asked.url:
            raise UsageError(f"{asked} names a place; only packages of an index can be gathered")
        name = self.canonical(asked.name)
        condition = asked.specifier & self.conditions.get(name, asked.specifier)
        known = self.found.get(name)
        fits = known is not None and condition.contains(known.version, prereleases=True)
        new_extras = set(asked.extras) - self.extras.get(name, set())
        self.conditions[name] = condition
        self.extras[name] = self.extras.get(name, set()) | new_extras
        if fits and not new_extras:
            return
        if not fits:
            if known is not None:
                known.file.unlink()
            self.found[name] = fetched(f"{name}{condition}", self.target, self.folder)
        package = self.found[name]
        for text in package.needs:
            marker = self._parsed(text).marker
            extras = ("", *sorted(self.extras[name]))
            if marker is None or any(marker.evaluate({**self.target.conditions, "extra": extra}) for extra in extras):
                yield text.partition(";")[0].strip()
        yield from package.builds_with


def fetched(requirement: str, target: Target, folder: Path) -> Package:
    """The newest file that fits, a wheel where there is one, moved into `folder`. Raises CgnetError."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--prefer-binary",
            *target.pip_options,
            "--dest",
            place,
            requirement,
        ]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        files = list(Path(place).iterdir())
        if ended.returncode or len(files) != 1:
            errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
            reason = one_line(errors[-1] if errors else ended.stderr or "pip gives no reason")
            raise CgnetError(
                f"{requirement} can't be had for Python {target.version}, glibc 2.{target.glibc}, x86-64: {reason}"
            )
        file = files[0].rename(folder / files[0].name)
    return described(file)


def described(file: Path) -> Package:
    """What a wheel or an archive of sources says of itself. Raises CgnetError for anything else."""
    try:
        builds_with: tuple[str, ...] = ()
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel:
                place = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
                metadata = wheel.open(place).read(MAX_METADATA_BYTES).decode()
        else:
            with tarfile.open(file) as sources:
                top = {PurePosixPath(m.name).name: m for m in sources if len(PurePosixPath(m.name).parts) == 2}
                metadata = _text(sources, top["PKG-INFO"])
                builds_with = _built_by(_text(sources, top["pyproject.toml"]) if "pyproject.toml" in top else "")
        told: Message = Parser().parsestr(metadata, headersonly=True)
        return Package(told["Name"], told["Version"], file, tuple(told.get_all("Requires-Dist", ())), builds_with)
    except (OSError, KeyError, StopIteration, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise CgnetError(f"{file.name} is no Python package ({type(error).__name__}: {one_line(error)})") from error


def _text(sources: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = sources.extractfile(member)
    return "" if content is None else content.read(MAX_METADATA_BYTES).decode()


def _built_by(pyproject: str) -> tuple[str, ...]:
    """The build requirements that a pyproject.toml states. Raises UsageError on a Python that can't read one."""
    try:
        toml = importlib.import_module("tomllib")
    except ImportError:
        raise UsageError("a package comes as sources: gathering what builds it needs Python 3.11 or later") from None
    return tuple(toml.loads(pyproject).get("build-system", {}).get("requires", BUILT_BY))


def sums(files: Sequence[Path]) -> str:
    """Lines that `sha256sum --check` reads."""
    return "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
