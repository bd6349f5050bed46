"""A file and its sidecar: what it is, what it was made from, and proof that it is intact.

`cgnet.plan` has its sidecar beside it as `cgnet.plan.json`. The plan itself stays a plain plan that any
tool can load. Both are written atomically, so a failed run never replaces a good file; a run killed between
the two renames is caught by the sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cgnet_deploy import __version__
from cgnet_deploy.codec import from_json, to_json
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.files import read_json, replacing, sha256_of, write_json
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
    made_with: dict[str, str]


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
    """Write `content` and its sidecar, each atomically."""
    digest = hashlib.sha256(content).hexdigest()
    tools = {"cgnet-deploy": __version__, **made_with}
    artifact = Artifact(path, kind, precision, spec, io, shape, digest, parent_sha256, tools)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        write_json(sidecar_path(path), {**to_json(artifact), "schema": SCHEMA, "path": path.name})
    return artifact


def read_artifact(path: Path, *, verify: bool = True) -> Artifact:
    """The artifact at `path`. Raises ArtifactError if file or sidecar is missing, damaged or not of each other.

    verify: compare the file's sha256 with the sidecar's.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    sidecar = sidecar_path(path)
    try:
        artifact = _parse(path, read_json(sidecar, MAX_SIDECAR_BYTES))
    except FileNotFoundError:
        raise ArtifactError(f"{path} has no sidecar {sidecar.name}; export it again with cgnet-export") from None
    except (OSError, ValueError, UsageError) as error:
        raise ArtifactError(f"{sidecar} can't be read: {error}; export {path.name} again with cgnet-export") from error
    if verify and sha256_of(path) != artifact.sha256:
        raise ArtifactError(
            f"{path} is not the file that {sidecar.name} describes (sha256 differs): it was cut or altered; "
            "export it again with cgnet-export"
        )
    return artifact


def _parse(path: Path, sidecar: object) -> Artifact:
    if not isinstance(sidecar, dict) or "schema" not in sidecar:
        raise ValueError("not a sidecar of cgnet-deploy")
    if sidecar["schema"] != SCHEMA:
        raise ValueError(f"schema {sidecar['schema']!r}, wanted {SCHEMA}")
    return from_json(Artifact, {key: value for key, value in sidecar.items() if key != "schema"} | {"path": str(path)})
