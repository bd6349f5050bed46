"""What can be said of a checkpoint before its tensors are parsed: before torch is imported, which takes seconds.

Sizes, including the unpacked size of a zip, are bounded by MAX_BYTES.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from cgnet_deploy.errors import CheckpointError, one_line

MAX_BYTES = 1 << 28  # 256 MiB; the largest CGNet (128 + 128 blocks) is 9 MiB, with an optimiser's state 30 MiB
ZIP, PICKLE = b"PK\x03\x04", b"\x80\x02"  # how torch's files begin; safetensors has a length, and then JSON


def read_unparsed(path: Path) -> bytes:
    """The bytes of a file that may be a checkpoint, of MAX_BYTES at most. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
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
    elif not data.startswith(PICKLE) and data[8:9] != b"{":
        raise CheckpointError(
            f"{path} is not a checkpoint: it begins with {data[:8]!r}, which neither torch nor safetensors writes"
        )
    return data


def _check_zip(path: Path, data: bytes) -> None:
    """torch stores its records uncompressed: a compressed one is not from torch, and may be a zip bomb."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path} is damaged or cut short: {reason(error)}") from error
    inside = {m.filename.partition("/")[2] for m in members}
    if any(name.startswith("code/") for name in inside):
        raise CheckpointError(
            f"{path} is TorchScript, which holds code: save its weights, "
            "torch.save(torch.jit.load(OLD).state_dict(), NEW)"
        )
    if "data.pkl" not in inside:
        raise CheckpointError(f"{path} is a zip without a data.pkl: no checkpoint that torch.save writes")
    if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > MAX_BYTES:
        raise CheckpointError(f"{path} is a compressed zip, which torch doesn't write: not a checkpoint")


def reason(error: BaseException) -> str:
    """A library's message in one line; of torch's advice about a refused pickle, only the reason."""
    return one_line(str(error).partition("WeightsUnpickler error: ")[2] or error)
