"""What an export gives back: the files, how far they are from the checkpoint, and the lines and JSON about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cgnet_deploy.artifact import Artifact
from cgnet_deploy.codec import to_json
from cgnet_deploy.spec import Res

if TYPE_CHECKING:  # torch and onnx_ir are optional, and slow to import
    from cgnet_deploy.engines.build import BuiltPlan
    from cgnet_deploy.export.fuse.rule import FusionReport
    from cgnet_deploy.export.guard import Guarded
    from cgnet_deploy.export.lower import Int8Report
    from cgnet_deploy.export.prune import PruneReport
    from cgnet_deploy.export.speed import Speedup
    from cgnet_deploy.export.verify import Verification

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote, and how far it is from the checkpoint in PyTorch.

    artifact: the ONNX file. kept_f32: nodes that the range of f16, or the guard, kept in f32. int8, guard, plan,
    pruning, speedup (of int8): None where the export did not do it. folders: what was written for servers, a line each.
    """

    artifact: Artifact
    res: Res
    batch: int
    target: str
    fusion: FusionReport
    verification: Verification
    kept_f32: tuple[str, ...]
    pruning: PruneReport | None = None
    int8: Int8Report | None = None
    guard: Guarded | None = None
    plan: BuiltPlan | None = None
    folders: tuple[str, ...] = ()
    speedup: Speedup | None = None

    def summary(self) -> str:
        """What was written, a line each, as `cgnet-export` prints it."""
        onnx = self.artifact.path
        size = f"{self.artifact.precision.value}, {self.res.spelled()}, batch {self.batch}"
        lines = [f"{onnx}  {size}; {self.fusion.summary()}"]
        if self.int8 is not None:
            lines.append(f"{onnx}  {self.int8.summary()}")
        if self.speedup is not None:
            lines.append(f"{onnx}  int8 is {self.speedup.summary()}")
        if self.pruning is not None:
            lines.append(f"{onnx}  pruned: {self.pruning.summary()}")
        if self.plan is not None:
            types = ", ".join(f"{count} {name}" for name, count in self.plan.convolutions.items())
            made_by = f"{self.plan.builder} {self.plan.version}, for {self.plan.architecture}"
            verified = self.plan.verification.summary()
            lines.append(f"{self.plan.artifact.path}  {made_by}; convolutions by input: {types}; {verified}")
        return "\n".join([*lines, *self.folders])

    def to_json(self) -> dict[str, Any]:
        """The object that `cgnet-export --json` writes."""
        report: dict[str, Any] = {
            "schema": SCHEMA,
            "onnx": str(self.artifact.path),
            "engine": None,
            "precision": self.artifact.precision.value,
            "res": list(self.res),
            "batch": self.batch,
            "target": self.target,
            "fusion": self.fusion.to_json(),
            "verify": to_json(self.verification),
            "kept_f32": list(self.kept_f32),
        }
        if self.int8 is not None:
            report["int8"] = self.int8.to_json()
        if self.speedup is not None:
            report["speedup"] = self.speedup.to_json()
        if self.guard is not None:
            report["guard"] = to_json(self.guard)
        if self.pruning is not None:
            report["pruning"] = to_json(self.pruning)
        if self.plan is not None:
            report |= {
                "engine": str(self.plan.artifact.path),
                "builder": self.plan.builder,
                "builder_version": self.plan.version,
                "architecture": self.plan.architecture,
                "convolutions": dict(self.plan.convolutions),
                "engine_verify": to_json(self.plan.verification),
            }
        return report
