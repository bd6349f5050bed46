"""A file and what describes it: what it is, what it was made from, and proof that it is intact.

`cgnet.plan` has its sidecar beside it as `cgnet.plan.json`. The plan itself stays a plain plan that any
tool can load. Both are written atomically, and together: a failed run never replaces a good file, two runs at
once leave the pair of one; a run killed between the two renames is caught by the sha256.

An ONNX file holds the same description in its own metadata, under `cgnet`, and beside it texts for viewers such as
netron. It is complete without its sidecar; only the sha256, which no file can hold of itself, is then not compared. So
one that another tool rewrote, keeping the metadata, is read too, with a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cgnet_deploy import __version__
from cgnet_deploy.codec import from_json, to_json
from cgnet_deploy.errors import ArtifactError, CgnetError, UsageError, one_line
from cgnet_deploy.files import locked, read_json, replacing, sha256_of, write_bytes, write_json
from cgnet_deploy.lookup import no_file
from cgnet_deploy.onnxmeta import read_metadata, with_metadata
from cgnet_deploy.places import check_regular, real
from cgnet_deploy.spec import ModelSpec, Precision

log = logging.getLogger(__name__)

Kind = Literal["checkpoint", "onnx", "plan"]
IO = Literal["frames", "tensor"]
Shape = tuple[int | None, int | None, int | None]

MAX_SIDECAR_BYTES = 1 << 20
MAX_ONNX_BYTES = 1 << 29  # 512 MiB; a CGNet is 2 MiB
SCHEMA = 1
METADATA_KEY = "cgnet"
IO_TEXT = {
    "frames": "(N, H, W, 3) u8 BGR in, (N, H, W) u8 labels out",
    "tensor": "(N, 3, H, W) f32 normalised in, (N, K, H, W) out, of which the largest names the class",
}


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
    """Where the sidecar of `path` is: beside it or, for a link that has none beside it, beside the link's target."""
    beside = path.with_name(path.name + ".json")
    if beside.exists() or not path.is_symlink():
        return beside
    target = real(path)
    return target.with_name(target.name + ".json")


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
    parent: Path | None = None,
) -> Artifact:
    """Write `content` and its sidecar, each atomically; an ONNX file gets its description in its metadata too.

    Of several runs that write to one name, the last has both. parent: a file that must still be the one that it was
    made from. Raises CgnetError if another run has replaced that.
    """
    check_regular(path)
    tools = {"cgnet-deploy": __version__, **made_with}
    artifact = Artifact(path, kind, precision, spec, io, shape, "", parent_sha256, tools)
    if kind == "onnx":
        content = described(content, artifact)
    artifact = replace(artifact, sha256=hashlib.sha256(content).hexdigest())
    with locked(path, parent or path), replacing(path) as temporary:
        if parent is not None and sha256_of(parent) != parent_sha256:
            raise CgnetError(
                f"{path} is not written: {parent} was replaced, by another run, while it was made; run again, or write "
                "to another name"
            )
        temporary.write_bytes(content)
        write_json(sidecar_path(path), {**to_json(artifact), "schema": SCHEMA, "path": path.name})
    return artifact


def copy_artifact(source: Path, path: Path) -> Artifact:
    """The file and sidecar at `source` once more at `path`. Raises as `read_artifact` and `write_artifact` do."""
    artifact = replace(read_artifact(source), path=path)
    with locked(path):
        write_bytes(path, source.read_bytes())
        write_json(sidecar_path(path), {**to_json(artifact), "schema": SCHEMA, "path": path.name})
    return artifact


def described(content: bytes, artifact: Artifact) -> bytes:
    """The ONNX file `content` with the description of `artifact` in its metadata, its path and sha256 left out."""
    spec = artifact.spec
    description = {key: value for key, value in to_json(artifact).items() if key not in ("path", "sha256")}
    entries = {
        METADATA_KEY: json.dumps({**description, "schema": SCHEMA}, allow_nan=False),
        "names": ", ".join(f"{k} {name}" for k, name in enumerate(spec.class_names)),
        "palette": ", ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in spec.palette),
        "ignore label": str(spec.ignore_label),
        "mean": ", ".join(map(str, spec.input.mean)),
        "std": ", ".join(map(str, spec.input.std)),
        "color": spec.input.color,
        "size": spec.input.res.spelled(),
        "io": IO_TEXT[artifact.io],
        "precision": artifact.precision.value,
    }
    return with_metadata(content, entries)


def has_description(path: Path) -> bool:
    """Whether the file at `path` has a sidecar or, of an ONNX file, a description in its metadata."""
    return sidecar_path(path).exists() or _own_description(path) is not None


def read_artifact(path: Path, *, verify: bool = True) -> Artifact:
    """The artifact at `path`, by its sidecar, or by its metadata for an ONNX file without one.

    verify: compare the file's sha256 with the sidecar's; another one of an ONNX file that describes itself alike is
    logged, and is the artifact's. Raises ArtifactError if the file or what describes it is
    missing or damaged, or if they contradict each other.
    """
    if problem := no_file(path):
        raise ArtifactError(f"{path} {problem}")
    sidecar = sidecar_path(path)
    try:
        artifact = _parse(read_json(sidecar, MAX_SIDECAR_BYTES), path=str(path))
    except FileNotFoundError:
        own = _own_description(path)
        if own is None:
            raise ArtifactError(f"{path} has no sidecar {sidecar.name}; export it again with cgnet-export") from None
        log.info(f"{path} has no sidecar {sidecar.name}: its own metadata describe it; its sha256 can't be compared")
        return own
    except (OSError, ValueError, UsageError) as error:
        raise ArtifactError(f"{sidecar} can't be read: {error}; export {path.name} again with cgnet-export") from error
    own = _own_description(path) if artifact.kind == "onnx" else None
    if verify and own is None and sha256_of(path) != artifact.sha256:
        raise ArtifactError(
            f"{path} is not the file that {sidecar.name} describes (sha256 differs): it was cut or altered; "
            "export it again with cgnet-export"
        )
    if own is None:
        return artifact
    if replace(own, sha256=artifact.sha256) != artifact:
        raise ArtifactError(f"{sidecar} contradicts the metadata of {path.name}; export it again with cgnet-export")
    if verify and own.sha256 != artifact.sha256:
        log.warning(
            f"{path} was changed after {sidecar.name} was written (sha256 differs), by a tool that kept its metadata: "
            "it is taken for what those say"
        )
    return own


def _own_description(path: Path) -> Artifact | None:
    """By the metadata of the ONNX file at `path`; None if it has no description of ours, or is no ONNX file."""
    if path.stat().st_size > MAX_ONNX_BYTES:
        return None
    content = path.read_bytes()
    try:
        text = read_metadata(content).get(METADATA_KEY)
    except ValueError:
        return None
    if text is None:
        return None
    try:
        artifact = _parse(json.loads(text), path=str(path), sha256=hashlib.sha256(content).hexdigest())
        if artifact.kind != "onnx":
            raise ValueError(f"kind: {artifact.kind!r}, wanted onnx")
    except (ValueError, UsageError, RecursionError) as error:
        raise ArtifactError(
            f"the metadata of {path} can't be read: {one_line(error)}; export it again with cgnet-export"
        ) from error
    return artifact


def _parse(description: object, **known: Any) -> Artifact:
    """known: fields that are not read from the description."""
    if not isinstance(description, dict) or "schema" not in description:
        raise ValueError("not a sidecar of cgnet-deploy")
    if description["schema"] != SCHEMA:
        raise ValueError(f"schema {description['schema']!r}, wanted {SCHEMA}")
    return from_json(Artifact, {key: value for key, value in description.items() if key != "schema"} | known)
