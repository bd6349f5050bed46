"""What can be said of a checkpoint before its tensors are parsed: before torch is imported, which takes seconds.

Sizes, including the unpacked size of a zip, are bounded by MAX_BYTES.
"""

from __future__ import annotations

import io
import json
import os
import pickletools
import zipfile
from contextlib import suppress
from pathlib import Path

from cgnet_deploy.checkpoint.mistaken import REPACKED, what_it_is, what_the_folder_is, what_the_zip_is
from cgnet_deploy.errors import CheckpointError, one_line
from cgnet_deploy.lookup import no_file

MAX_BYTES = 1 << 28  # 256 MiB; the largest CGNet (128 + 128 blocks) is 9 MiB, with an optimiser's state 30 MiB
ZIP, PICKLE = b"PK\x03\x04", b"\x80\x02"  # how torch's files begin; safetensors has a length, and then JSON
NEWER_PICKLES = (b"\x80\x03", b"\x80\x04", b"\x80\x05")
MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")  # torch's, near the start of what it pickles
INTEGERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4")
PICKLES = 4  # at the start of torch's old format: MAGIC, the version, the machine, what was saved
SAVE = "torch.save(torch.load(OLD, weights_only=False), NEW)"


def read_unparsed(path: Path) -> bytes:
    """The bytes of a file that may be a checkpoint, of MAX_BYTES at most. Raises CheckpointError."""
    if problem := no_file(path):
        raise CheckpointError(f"{path} {what_the_folder_is(path) if os.path.isdir(path) else problem}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror}") from error
    if not data:
        raise CheckpointError(f"{path} is empty")
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{path} is larger than {MAX_BYTES >> 20} MiB: not a checkpoint of a CGNet")
    if data.startswith(ZIP):
        _check_zip(path, data)
    elif data[8:9] == b"{":
        _check_safetensors(path, data)
    elif data.startswith((PICKLE, *NEWER_PICKLES)) and MAGIC not in data[:64]:
        raise CheckpointError(
            f"{path} is damaged, cut short, or a pickle that torch didn't write, which can run code when it is read; "
            "if you trust it: torch.save(pickle.load(open(OLD, 'rb')), NEW)"
        )
    elif data.startswith(NEWER_PICKLES):
        raise _newer(path, data)
    elif data.startswith(PICKLE):
        _check_storages(path, data)
    else:
        raise CheckpointError(f"{path} is not a checkpoint: {what_it_is(path, data)}")
    return data


def _newer(path: Path, pickle: bytes) -> CheckpointError:
    return CheckpointError(
        f"{path} was saved with pickle_protocol={pickle[1]}, of which torch can't read the weights alone; if you trust "
        f"it, save it again: {SAVE}"
    )


def _check_storages(path: Path, data: bytes) -> None:
    """A storage says how many elements it has, which stand behind the pickles: torch allocates what it says.

    It is named by its own key, the place of its tensor, and that number.
    """
    stream, numbers = io.BytesIO(data), list[int]()
    with suppress(ValueError):  # cut or damaged: torch says how
        for _ in range(PICKLES):
            for opcode, value, _ in pickletools.genops(stream):
                if opcode.name == "BINUNICODE":
                    numbers = []
                elif isinstance(value, int) and opcode.name in INTEGERS:
                    numbers.append(value)
                elif opcode.name == "BINPERSID" and not all(0 <= number <= len(data) for number in numbers):
                    raise CheckpointError(
                        f"{path} is damaged: it has {len(data)} bytes, and names {max(numbers, key=abs)} weights in one"
                    )


def _check_safetensors(path: Path, data: bytes) -> None:
    """8 bytes of length, so much JSON, and the tensors, of which the last ends with the file."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        complete = 8 + length + max(ends, default=0) == len(data)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        complete = False
    if not complete:
        raise CheckpointError(f"{path} is damaged, cut short or not a checkpoint: it begins as a safetensors file does")


def _check_zip(path: Path, data: bytes) -> None:
    """torch stores its records uncompressed: a compressed one is not from torch, and may be a zip bomb."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            first = [
                archive.open(m).read(2) for m in members if m.filename.endswith("/data.pkl") and not m.compress_type
            ]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged or cut short: {reason(error)}") from error
    inside = {m.filename.partition("/")[2] for m in members}
    if any(name.startswith("code/") for name in inside):
        raise CheckpointError(
            f"{path} is TorchScript, which holds code: save its weights, "
            "torch.save(torch.jit.load(OLD).state_dict(), NEW)"
        )
    if "models/model.json" in inside:
        raise CheckpointError(
            f"{path} is of torch.export, which keeps a graph: save its weights, "
            "torch.save(torch.export.load(OLD).state_dict, NEW)"
        )
    if "data.pkl" not in inside:
        raise CheckpointError(f"{path} {what_the_zip_is([m.filename for m in members])}")
    if first and first[0] in NEWER_PICKLES:
        raise _newer(path, first[0])
    if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > MAX_BYTES:
        raise CheckpointError(f"{path} {REPACKED}")


def reason(error: BaseException) -> str:
    """A library's message in one line; of torch's advice about a refused pickle, only the reason."""
    return one_line(str(error).partition("WeightsUnpickler error: ")[2] or error)
