"""A file and its sidecar: what it is, what it came from, and that it is whole.

`cgnet.plan` has its sidecar beside it as `cgnet.plan.json`. The plan itself stays a plain plan that any
tool can load. A file is written under a temporary name and renamed, the sidecar after it: a failed run
leaves no half file, never destroys the previous one, and a run killed between the two renames is caught
by the sha256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cgnet_deploy import __version__
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.files import replacing, sha256_of
from cgnet_deploy.spec import ModelSpec, Precision

Kind = Literal["checkpoint", "onnx", "plan"]
IO = Literal["frames", "tensor"]
Shape = tuple[int | None, int | None, int | None]

MAX_SIDECAR_BYTES = 1 << 20
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of the chain checkpoint -> onnx -> plan.

    io: "frames" takes (N, H, W, 3) u8 BGR and gives (N, H, W) u8 labels; "tensor" takes (N, 3, H, W)
    f32, already normalised, and gives (N, K, H, W) f32 logits. shape: (N, H, W), None where dynamic.
    parent_sha256: the file it was made from, None for a checkpoint. made_with: tool -> version.
    """

    path: Path
    kind: Kind
    precision: Precision
    spec: ModelSpec
    io: IO
    shape: Shape
    sha256: str
    parent_sha256: str | None
    made_with: Mapping[str, str]


def sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def write_artifact(
    path: Path,
    content: bytes,
    *,
    kind: Kind,
    precision: Precision,
    spec: ModelSpec,
    io: IO,
    shape: Shape,
    parent_sha256: str | None,
    made_with: Mapping[str, str],
) -> Artifact:
    """Write `content` and its sidecar, each whole or not at all."""
    artifact = Artifact(
        path,
        kind,
        precision,
        spec,
        io,
        shape,
        hashlib.sha256(content).hexdigest(),
        parent_sha256,
        {"cgnet-deploy": __version__, **made_with},
    )
    fields = asdict(artifact) | {"schema": SCHEMA, "path": path.name, "spec": spec.to_json()}
    with replacing(path) as temporary, replacing(sidecar_path(path)) as temporary_sidecar:
        temporary_sidecar.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
        temporary.write_bytes(content)
    return artifact


def read_artifact(path: Path, *, verify: bool = True) -> Artifact:
    """The artifact at `path`. Raises ArtifactError if file or sidecar is missing, damaged or not of each other.

    verify: compare the file's sha256 with the sidecar's.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    sidecar = sidecar_path(path)
    try:
        if sidecar.stat().st_size > MAX_SIDECAR_BYTES:
            raise ArtifactError(f"{sidecar} is larger than {MAX_SIDECAR_BYTES} bytes: not a sidecar of ours")
        data = json.loads(sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} has no sidecar {sidecar.name}; export it again with cgnet-export") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{sidecar} can't be read: {error}; export {path.name} again with cgnet-export") from error
    artifact = _parse(path, sidecar, data)
    if verify and sha256_of(path) != artifact.sha256:
        raise ArtifactError(
            f"{path} is not the file that {sidecar.name} describes (sha256 differs): it was cut or altered; "
            "export it again with cgnet-export"
        )
    return artifact


def _parse(path: Path, sidecar: Path, data: Any) -> Artifact:
    try:
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}, wanted {SCHEMA}")
        if data["kind"] not in ("checkpoint", "onnx", "plan") or data["io"] not in ("frames", "tensor"):
            raise ValueError(f"kind {data['kind']!r}, io {data['io']!r}")
        n, h, w = (None if v is None else int(v) for v in data["shape"])
        return Artifact(
            path=path,
            kind=data["kind"],
            precision=Precision(data["precision"]),
            spec=ModelSpec.from_json(data["spec"]),
            io=data["io"],
            shape=(n, h, w),
            sha256=str(data["sha256"]),
            parent_sha256=None if data["parent_sha256"] is None else str(data["parent_sha256"]),
            made_with={str(tool): str(version) for tool, version in data["made_with"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise ArtifactError(f"{sidecar} is not a sidecar of ours ({type(error).__name__}: {error})") from error
