"""A plan file before TensorRT sees it: complete, ours, and made for this machine, or refused with the reason.

A plan opens with 28 bytes that both builders write: a tag, which identifies the builder; 20 bytes that are not
read here; and the builder's version in bytes 24 to 27, major, minor, patch, build (trtexec --getPlanVersionOnly
reads the same). Everything else about a plan is in its sidecar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from cgnet_deploy.artifact import Artifact, read_artifact, sidecar_path
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.engines.trtapi import PACKAGES, RTX_PORTABLE, Builder
from cgnet_deploy.errors import ArtifactError, EngineUnavailable
from cgnet_deploy.lookup import no_file
from cgnet_deploy.spec import Precision

HEADER_BYTES = 28
TAGS: dict[bytes, Builder] = {b"ftrt": "tensorrt", b"vtrt": "rtx"}
ARCHITECTURE = "architecture"  # its key in a plan's `made_with`, beside the builder's package
PORTABLE = "portable"  # for RTX_PORTABLE: RTX compiles for the GPU that it finds when the plan is loaded
UNKNOWN = "unknown"  # of a plan that no sidecar describes
FLAGS = {Precision.F32: "--fp32", Precision.F16: "--fp16", Precision.INT8: "--int8"}


@dataclass(frozen=True, slots=True)
class Plan:
    """architecture: of the GPU that the plan is for, such as sm_90, or PORTABLE."""

    artifact: Artifact
    builder: Builder
    version: str
    architecture: str

    @property
    def path(self) -> Path:
        return self.artifact.path

    @property
    def rebuild(self) -> str:
        """The command that builds this plan again."""
        n, h, w = self.artifact.shape
        sizes = f" --res {h}x{w}" if h and w else ""
        sizes += f" --batch {n}" if n and n > 1 else ""
        flag = FLAGS[self.artifact.precision]
        return f"cgnet-export --ckpt CHECKPOINT {flag}{sizes} --builder {self.builder} --engine {self.artifact.path}"


@dataclass(frozen=True, slots=True)
class TrustedPlan:
    """A plan from elsewhere, such as trtexec's, that the user vouches for. TensorRT checks what it was built for."""

    path: Path
    builder: Builder
    version: str
    architecture: str = UNKNOWN

    @property
    def rebuild(self) -> str:
        return f"trtexec --onnx=FILE.onnx --saveEngine={self.path}"


def read_trusted(path: Path) -> TrustedPlan:
    """The plan at `path`, of which only the header is read. Raises ArtifactError if it is none."""
    if problem := no_file(path):
        raise ArtifactError(f"{path} {problem}")
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or header[:4] not in TAGS:
        raise ArtifactError(f"{path} is not a TensorRT plan: build one with trtexec or cgnet-export")
    return TrustedPlan(path, TAGS[header[:4]], ".".join(map(str, header[24:28])))


def has_sidecar(path: Path) -> bool:
    return sidecar_path(path).exists()


def read_plan(path: Path) -> Plan:
    """The plan at `path`. Raises ArtifactError if it is missing, damaged, or not what its sidecar says."""
    if not no_file(path) and not has_sidecar(path):
        raise ArtifactError(
            f"{path} has no sidecar {sidecar_path(path).name}, so nothing vouches for its bytes, which TensorRT "
            "would run: export it again with cgnet-export, or say --trust if you built it yourself"
        )
    artifact = read_artifact(path)
    if artifact.kind != "plan":
        raise ArtifactError(f"{path} is {'an ONNX file' if artifact.kind == 'onnx' else 'a checkpoint'}, wanted a plan")
    made_with = artifact.made_with
    builder = next((builder for builder, package in PACKAGES.items() if package in made_with), None)
    try:
        if builder is None or ARCHITECTURE not in made_with:
            raise InvalidVersion
        built_by = Version(made_with[PACKAGES[builder]]).release
    except InvalidVersion:
        raise ArtifactError(
            f"the sidecar of {path} doesn't say what built it; export it again with cgnet-export"
        ) from None
    plan = Plan(artifact, builder, made_with[PACKAGES[builder]], made_with[ARCHITECTURE])
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or header[:4] not in TAGS:
        raise ArtifactError(f"{path} is not a TensorRT plan; build it again with: {plan.rebuild}")
    wrote = tuple(header[24:28])
    if TAGS[header[:4]] != builder or wrote[: len(built_by)] != built_by:
        raise ArtifactError(
            f"{path} was written by {TAGS[header[:4]]} {'.'.join(map(str, wrote))}, its sidecar says "
            f"{builder} {plan.version}; build it again with: {plan.rebuild}"
        )
    return plan


def check_fits(plan: Plan | TrustedPlan, gpu: Gpu, installed: str, runs_on: Sequence[str] | None = None) -> None:
    """Raise EngineUnavailable unless `plan` was built by the `installed` version and for `gpu`.

    runs_on: the architectures that the runtime supports, None for all.
    """
    path, package = plan.path, PACKAGES[plan.builder]
    if runs_on is not None and gpu.architecture not in runs_on:
        raise EngineUnavailable(
            f"{path} was built by {package}, which doesn't run on this GPU ({gpu.name}, {gpu.architecture}), only on "
            f"{', '.join(runs_on)}: build it here by TensorRT, pip install 'cgnet-deploy[trt]' and --builder tensorrt"
        )
    here, there = Version(installed).release, Version(plan.version).release
    if any(a != b for a, b in zip(here, there, strict=False)):  # JetPack's package gives three numbers of four
        raise EngineUnavailable(
            f"{path} was built by {package} {plan.version}, and {installed} is installed, which can't read it; "
            f"build it here again: {plan.rebuild}"
        )
    built_for = {PORTABLE: RTX_PORTABLE, UNKNOWN: (gpu.architecture,)}.get(plan.architecture, (plan.architecture,))
    if gpu.architecture not in built_for:
        raise EngineUnavailable(
            f"{path} was built for {', '.join(built_for)}, and this GPU ({gpu.name}) is {gpu.architecture}; "
            f"build it here again: {plan.rebuild}"
        )
