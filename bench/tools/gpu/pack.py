"""What a machine without a network needs to run everything here, in parts small enough for any way of copying.

python -m cgnet_deploy.bench.tools.gpu.pack --python 3.12 --out pack      here
sh pack/unpack.sh python3                                           there

The folder then holds the packages as one tar archive, cut into pack.tar.000, .001, ... of at most 48 MiB;
requirements.txt, what was asked for, at the versions gathered; manifest.json, every package with its size and sha256;
SHA256SUMS of all of these; and unpack.sh, which checks the sums, joins the parts and installs with pip's --no-index.
Without names it gathers what stands beside a PyTorch for CUDA 13, which brings CUDA's own libraries: ONNX Runtime for
GPUs, TensorRT for RTX, cuda-python, and pycuda, which is built over there against the CUDA that is there.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import re
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cgnet_deploy.bench.tools.gpu.wheels import Package, Target, gather, sums
from cgnet_deploy.errors import UserError
from cgnet_deploy.files import sha256_of
from cgnet_deploy.terminal import Parser, run

log = logging.getLogger(__name__)

DEFAULT = ("onnxruntime-gpu", "tensorrt-rtx", "cuda-python", "pycuda")
PART_MIB = 48
UNPACK = Path(__file__).with_name("unpack.sh")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a package can't be had, 2 usage."""
    return run(parser(), pack, argv)


def parser() -> Parser:
    parser = Parser("python -m cgnet_deploy.bench.tools.gpu.pack", "Gather packages for a machine without a network.")
    add = parser.add_argument
    add("package", nargs="*", metavar="PACKAGE", help=f"as pip spells it (default: {' '.join(DEFAULT)})")
    add("--python", type=_python, required=True, metavar="3.N", help="the Python of the other machine")
    add("--glibc", type=_glibc, default=28, metavar="2.N", help="its C library, or an older one (default: 2.28)")
    add("--out", type=Path, required=True, metavar="DIR", help="made if missing, refused unless empty")
    add("--part-mib", type=_part, default=PART_MIB, metavar="N", help="size of a part in MiB (default: %(default)s)")
    return parser


def _python(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"3\.\d{1,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version of Python such as 3.12")
    return 3, int(text[2:])


def _glibc(text: str) -> int:
    if not re.fullmatch(r"2\.\d{1,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version of glibc such as 2.28")
    return int(text[2:])


def _part(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of MiB")
    return int(text)


def pack(given: argparse.Namespace) -> int:
    out: Path = given.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UserError(f"{out} is not empty: name a new folder, so that no part of an older pack stays in it")
    except OSError as error:
        raise UserError(f"{out} can't be made: {error.strerror}") from error
    target, wanted = Target(given.python, given.glibc), tuple(given.package) or DEFAULT
    log.info(f"gathering {', '.join(wanted)} for Python {target.version}, glibc 2.{target.glibc}, x86-64")
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=out) as folder:
        packages = gather(wanted, target, Path(folder))
        parts = write_parts([package.file for package in packages], out, given.part_mib << 20)
        (out / "manifest.json").write_text(_manifest(packages, parts, target), encoding="utf-8")
        (out / "requirements.txt").write_text(_requirements(wanted, packages, target), encoding="utf-8")
        sizes = {package.file.name: package.file.stat().st_size / 2**20 for package in packages}
    shutil.copy(UNPACK, out / UNPACK.name)
    described = [*parts, out / "manifest.json", out / "requirements.txt", out / UNPACK.name]
    # The last file to be written: without it unpack.sh does nothing, so a pack that was cut short is never installed.
    (out / "SHA256SUMS").write_text(sums(described), encoding="utf-8")
    for name, mib in sizes.items():
        print(f"{mib:9.1f} MiB  {name}")
    total = sum(part.stat().st_size for part in parts) / 2**20
    print(f"{total:9.1f} MiB in {len(parts)} parts of at most {given.part_mib} MiB")
    print(f"over there, with that folder whole: sh {out.name}/{UNPACK.name} python3")
    return 0


def _requirements(wanted: Sequence[str], packages: Sequence[Package], target: Target) -> str:
    """What pip is asked for over there: what was wanted, at the version gathered, and nothing that it only needs.

    What such a package needs is taken from what is installed there where that will do.
    """
    versions = {_canonical(package.name): package.version for package in packages}
    lines = [f"# python {target.version}"]
    for text in wanted:
        name, extras = re.match(r"\s*([\w.-]+)\s*(\[[^\]]*\])?", text).groups()  # type: ignore[union-attr]
        lines.append(f"{name}{extras or ''}=={versions[_canonical(name)]}")
    return "\n".join(lines) + "\n"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _manifest(packages: Sequence[Package], parts: Sequence[Path], target: Target) -> str:
    def told(file: Path) -> dict[str, object]:
        return {"file": file.name, "bytes": file.stat().st_size, "sha256": sha256_of(file)}

    whole = {
        "schema": 1,
        "python": target.version,
        "glibc": f"2.{target.glibc}",
        "machine": "x86_64",
        "packages": [{"name": p.name, "version": p.version, **told(p.file)} for p in packages],
        "parts": [told(part) for part in parts],
    }
    return json.dumps(whole, indent=2) + "\n"


def write_parts(files: Sequence[Path], out: Path, part_bytes: int) -> list[Path]:
    """One tar archive of `files`, without folders, owners and dates, cut into pack.tar.000, pack.tar.001, ..."""
    stream = _Parts(out, part_bytes)
    with stream, tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.name)
            entry.size = file.stat().st_size
            with file.open("rb") as content:
                archive.addfile(entry, content)
    return stream.parts


class _Parts(io.RawIOBase):
    """A file that goes on in the next one when it is full. parts: those that it has, in order."""

    def __init__(self, out: Path, part_bytes: int) -> None:
        self.out, self.part_bytes, self.parts = out, part_bytes, list[Path]()
        self.left = 0
        self.file = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        rest = memoryview(content)  # type: ignore[arg-type]
        whole = len(rest)
        while len(rest):
            if not self.left:
                self.file.close()
                self.parts.append(self.out / f"pack.tar.{len(self.parts):03d}")
                self.file = self.parts[-1].open("xb")  # type: ignore[assignment]
                self.left = self.part_bytes
            self.file.write(rest[: self.left])
            taken = min(len(rest), self.left)
            rest, self.left = rest[taken:], self.left - taken
        return whole

    def close(self) -> None:
        self.file.close()
        super().close()


if __name__ == "__main__":
    raise SystemExit(main())
