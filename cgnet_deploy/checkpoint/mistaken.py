"""What people have in place of a checkpoint, and how they get one from it.

A page or an error saved in place of a download, an archive around the file, the file unpacked, another format, the
folder of a training run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path, PurePath
from shlex import quote

from cgnet_deploy.errors import one_line

BY_FIRST_BYTES = {
    b"version https://git-lfs": "a pointer of Git LFS: git lfs pull fetches the file",
    b"<": "a web page or XML: was a page saved in place of the download?",
    b"{": "JSON: was an error saved in place of the download?",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ\x00": "compressed by xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"Rar!\x1a\x07": "a RAR archive: unpack it first",
    b"\x89HDF": "HDF5, which Keras writes, not torch",
    b"\x93NUMPY": "an array of NumPy",
}
ENGINES = {".onnx": "an ONNX file", ".plan": "a plan", ".engine": "a plan"}
TAR, TAR_AT = b"ustar", 257
HEAD_BYTES, TEXT_BYTES = 512, 64  # that are looked at, and shown of a text
BOM = b"\xef\xbb\xbf"
SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".bin", ".tar")
DEEPSPEED, DISTRIBUTED = "zero_to_fp32.py", ".metadata"
REPACKED = (
    "is a zip that torch didn't write: unpack it, and zip -0 -r NEW.pth FOLDER packs the folder around its data.pkl"
)
SHOWN, LOOKED_AT = 3, 10_000


def what_it_is(path: Path, data: bytes) -> str:
    """Of a file that begins as no checkpoint does."""
    if what := ENGINES.get(path.suffix.lower()):
        return f"it is {what}: it is exported already, and cgnet-bench and cgnet-video take it as --engine"
    head = data[:HEAD_BYTES]
    if head[TAR_AT:].startswith(TAR):
        return "it is a tar archive: unpack it first"
    head = head.removeprefix(BOM).lstrip(b" \t\r\n")
    for first, what in BY_FIRST_BYTES.items():
        if head.startswith(first):
            return f"it is {what}"
    if (start := data[:TEXT_BYTES]).isascii() and start.decode().replace("\n", "").replace("\r", "").isprintable():
        return f"it is a text that begins with {one_line(start.decode())!r}"
    return f"it begins with {data[:8]!r}, which neither torch nor safetensors writes"


def what_the_zip_is(names: Sequence[str]) -> str:
    """Of a zip that torch didn't write. names: of its files."""
    inside = [name for name in names if name.lower().endswith(SUFFIXES) and not PurePath(name).name.startswith("._")]
    if inside:
        return f"is a zip around {' and '.join(map(one_line, inside[:SHOWN]))}: unpack it first"
    if "data.pkl" in names:
        return REPACKED
    return "is a zip without a data.pkl: no checkpoint that torch.save writes"


def what_the_folder_is(path: Path) -> str:
    """Of a folder given as a checkpoint."""
    try:
        names = sorted(one.name for one in path.iterdir())
    except OSError as error:
        return f"is a folder that can't be read: {error.strerror}"
    if "data.pkl" in names and "data" in names:
        name = quote(path.resolve().name)
        return f"is a checkpoint that was unpacked: zip -0 -r NEW.pth {name}, in the folder around it, packs it again"
    if DISTRIBUTED in names:
        return (
            "is a distributed checkpoint: python -m torch.distributed.checkpoint.format_utils dcp_to_torch "
            f"{quote(str(path))} NEW.pth makes a file of it"
        )
    if DEEPSPEED in names:
        script, folder = quote(str(path / DEEPSPEED)), quote(str(path))
        return f"is a folder of DeepSpeed: python {script} {folder} NEW makes files of it"
    found = sorted(one for one in islice(chain(path.glob("*"), path.glob("*/*")), LOOKED_AT) if one.is_file())
    if files := [str(one) for one in found if one.name.lower().endswith(SUFFIXES)]:
        more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        return f"is a folder; wanted a file in it, such as {', '.join(map(one_line, files[:SHOWN]))}{more}"
    return "is a folder; wanted a file"
