"""Mutated files, seeded, read in a process of their own, in which a file that takes too long or too much is a failure.

    python -m tests.mutation KIND TIMES [SEED...]

reads TIMES files of each seed (those of SEEDS), and gives the counts on stdout. Whatever bytes come, a reader gives
what it reads or one of our errors, on one line.
"""

from __future__ import annotations

import faulthandler
import io
import json
import resource
import signal
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from cgnet_deploy.artifact import read_artifact, sidecar_path, write_artifact
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.data.images import image_size, read_image
from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.engines.onnxfile import read_onnx
from cgnet_deploy.engines.request import Hints, Request
from cgnet_deploy.errors import CgnetError, require
from cgnet_deploy.spec import Precision

SEEDS = range(4)
MOST_S, MOST_BYTES = 10, 2 << 30  # of each file; CPU time, which a busy machine doesn't stretch
MOST_WALL_S = 120  # for what waits
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
EDGES = (0, 1, 0x7F, 0x80, 0xFF)  # of a byte
PICTURES = (".png", ".jpg", ".webp", ".tiff", ".bmp", ".ppm", ".gif", ".jp2", ".avif")


@dataclass(frozen=True)
class Kind:
    """path: of the file to spoil. part: of it, which is mutated. remade: the file with these bytes for `part`."""

    path: Path
    part: bytes
    read: Callable[[], object]
    remade: Callable[[bytes], bytes] = bytes


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One byte set; or bits flipped, a stretch removed, repeated or overwritten, or the end cut off, up to 3 times."""
    data = bytearray(content)
    if rng.integers(0, 2):
        data[int(rng.integers(0, len(data)))] = int(rng.choice([*EDGES, int(rng.integers(0, 256))]))
        return bytes(data)
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 33))
        match int(rng.integers(0, 5)):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = rng.bytes(length)
            case _:
                for place in rng.integers(0, len(data) or 1, min(length, len(data))):
                    data[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(data)


def network() -> bytes:
    """A little file that takes a tensor and gives scores, with weights, an attribute's tensor and a subgraph."""
    onnx = require("onnx", extra="export")
    return bytes(
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 17]> it (float[1,3,32,32] x) => (float[1,11,32,32] y)'
            "<float[11,3,1,1] w = {" + ", ".join(["0.5"] * 33) + "}>"
            "{ one = Constant <value = float[1] {1.0}> () y = Conv (x, w) }"
        ).SerializeToString()
    )


def described(path: Path) -> None:
    write_artifact(
        path,
        network(),
        kind="onnx",
        precision=Precision.F32,
        spec=model_spec("camvid-official", 11, (3, 21)),
        io="tensor",
        shape=(1, 32, 32),
        parent_sha256=None,
        made_with={},
    )


def opened(path: Path) -> object:
    return read_onnx(Request(path, False, (None, None, None), None, Hints(contract="camvid-official"), False))


def sidecar(folder: Path) -> Kind:
    path = folder / "a.onnx"
    described(path)
    return Kind(sidecar_path(path), sidecar_path(path).read_bytes(), lambda: read_artifact(path))


def described_onnx(folder: Path) -> Kind:
    path = folder / "a.onnx"
    described(path)
    return Kind(path, path.read_bytes(), lambda: opened(path))


def onnx(folder: Path) -> Kind:
    path = folder / "a.onnx"
    return Kind(path, network(), lambda: opened(path))


def picture(suffix: str, folder: Path) -> Kind:
    path = folder / f"a{suffix}"

    def read() -> None:
        error, *_ = [error_of(partial(reader, path)) for reader in (read_image, read_mask, image_size)]
        if error:
            raise error

    Image.fromarray(PICTURE).save(path)
    return Kind(path, path.read_bytes(), read)


def checkpoint(form: str, folder: Path) -> Kind:
    """What is mutated is what says where weights are and what they are called: among the weights few bytes matter."""
    import safetensors.torch

    from cgnet_deploy.checkpoint.reading import load_checkpoint
    from tests.files import named, saved
    from tests.networks import drawn

    path, model = folder / "a.pth", drawn(11)
    meta = {"CLASSES": [f"class {i}" for i in range(11)], "config": "model = dict(type='x')\nsize = (360, 480)\n"}
    holds = {"meta": meta, "state_dict": named(model, "mmseg"), "epoch": 7}

    def read() -> object:
        return load_checkpoint(path, contract="camvid-official")

    if form == "safetensors":
        content = safetensors.torch.save(named(model, "cgnet"))
        end = 8 + int.from_bytes(content[:8], "little")
        return Kind(path, content[:end], read, lambda head: head + content[end:])
    if form == "zip":  # with its directory at its end
        content = saved(holds)
        return Kind(path, content, read)
    if form == "pickle in a zip":  # whose checksum fits
        content = saved(holds)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = {name: archive.read(name) for name in archive.namelist()}
        (pickle,) = (name for name in records if name.endswith("data.pkl"))

        def remade(part: bytes) -> bytes:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for name, data in (records | {pickle: part}).items():
                    archive.writestr(zipfile.ZipInfo(name), data)  # without the time
            return buffer.getvalue()

        return Kind(path, records[pickle], read, remade)
    content = saved(holds, zipped=False)
    end = content.index(b"state_dict") + (1 << 14)
    return Kind(path, content[:end], read, lambda head: head + content[end:])


KINDS: dict[str, Callable[[Path], Kind]] = {
    "sidecar": sidecar,
    "onnx": onnx,
    "described onnx": described_onnx,
    **{
        f"checkpoint, {form}": partial(checkpoint, form)
        for form in ("zip", "pickle in a zip", "old pickle", "safetensors")
    },
    **{f"picture {suffix}": partial(picture, suffix) for suffix in PICTURES},
}


def error_of(read: Callable[[], object]) -> CgnetError | None:
    """The error of ours that `read` raises. Raises RuntimeError for one unfit for a user, or for want of memory."""
    try:
        read()
    except CgnetError as error:
        causes = list(chain_of(error))
        if len(str(error).splitlines()) != 1 or error.exit_code not in (1, 2):
            raise RuntimeError(f"{error.exit_code}: {error}") from error
        if any(isinstance(one, MemoryError) or "alloc" in str(one) for one in causes):
            raise RuntimeError("more than 2 GiB") from error
        return error
    return None


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def limit_memory() -> None:
    """To 2 GiB more than this process has, of address space, which a reader can't take without being seen."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(name: str, times: int, seeds: Iterable[int] = SEEDS) -> dict[str, int]:
    """How many files were read, and how many refused, by error."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        kind = KINDS[name](Path(folder))
        kind.path.write_bytes(kind.remade(kind.part))
        kind.read()  # whole, which imports what it takes
        limit_memory()
        faulthandler.register(signal.SIGPROF, chain=True)  # shows where it is, then ends as by default
        for seed in seeds:
            rng = np.random.default_rng(seed)
            for number in range(times):
                kind.path.write_bytes(content := kind.remade(mutated(kind.part, rng)))
                signal.setitimer(signal.ITIMER_PROF, MOST_S)
                faulthandler.dump_traceback_later(MOST_WALL_S, exit=True)
                try:
                    refused = error_of(kind.read)
                except BaseException:
                    print(f"{name}, seed {seed}, file {number}, of {len(content)} bytes", file=sys.stderr)
                    raise
                counts[type(refused).__name__ if refused else "read"] += 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.cancel_dump_traceback_later()
    return dict(counts)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), [*map(int, sys.argv[3:])] or SEEDS)))
