"""Makes the files of candidates, those of an export with the very words that the command for it has."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from cgnet_deploy.errors import CgnetError, NoSpace, one_line
from cgnet_deploy.export.cli import export_as
from cgnet_deploy.files import sha256_of, write_bytes
from cgnet_deploy.spec import Precision
from cgnet_deploy.tuning.candidates import CHECKPOINT, Variant
from cgnet_deploy.tuning.trial import Trial

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Maker:
    """ckpt: the checkpoint. common: flags of cgnet-export that all files share. calibration: those of int8 files.

    folder: of the files. made: files that are there, of this run or of an earlier one. failed: variants that can't be
    made, and why. intact: targets for which --prune-dead has found nothing to remove.
    """

    ckpt: Path
    common: tuple[str, ...]
    calibration: tuple[str, ...]
    folder: Path
    made: set[Variant] = field(default_factory=set)
    failed: dict[Variant, str] = field(default_factory=dict)
    intact: set[str] = field(default_factory=set)

    def words(self, variant: Variant, onnx: str, plan: str = "") -> tuple[str, ...]:
        """Of the command that writes the variant to `onnx`."""
        calibration = self.calibration if variant.precision is Precision.INT8 else ()
        engine = ("--engine", plan) if plan else ("--no-engine",)
        return (*self.common, *variant.flags, *calibration, "--onnx", onnx, *engine)

    def command(self, variant: Variant) -> str:
        """For a shell, whose result is cgnet.onnx, cgnet.plan or cgnet.pth."""
        if variant.target == CHECKPOINT:
            return shlex.join(("cp", str(self.ckpt), "cgnet.pth"))
        plan = "cgnet.plan" if variant.plan else ""
        # 0: cgnet-tune has measured whether int8 is worth it
        guard = ("--min-speedup", "0") if variant.precision is Precision.INT8 else ()
        return shlex.join(("cgnet-export", *self.words(variant, "cgnet.onnx", plan), *guard))

    def __call__(self, trial: Trial) -> Trial:
        """The trial with its file, which is made if it isn't there. Raises CgnetError if it can't be."""
        variant = trial.candidate.variant
        if not variant.prune and variant.target in self.intact:
            return replace(trial, fate="same", why="--prune-dead finds nothing to remove: the file is the same")
        if variant in self.failed:
            raise CgnetError(self.failed[variant])
        if variant not in self.made:
            try:
                self._make(variant)
            except NoSpace:
                raise
            except Exception as error:  # of torch's exporter or a runtime too: the other candidates may do well
                why = str(error) if isinstance(error, CgnetError) else f"{type(error).__name__}: {one_line(error)}"
                self.failed[variant] = f"can't be exported: {why}"
                raise CgnetError(self.failed[variant]) from error
            self.made.add(variant)
        path = self.folder / variant.name
        return replace(trial, sha256=sha256_of(path), file_bytes=path.stat().st_size)

    def _make(self, variant: Variant) -> None:
        path = self.folder / variant.name
        if variant.target == CHECKPOINT:
            write_bytes(path, self.ckpt.read_bytes())
            return
        log.info(f"exporting {variant.name}")
        words = self.words(variant, str(path.with_suffix(".onnx")), str(path) if variant.plan else "")
        if variant.precision is Precision.INT8:  # all scopes of a target share the ranges
            cache = self.folder / f"{variant.target}{'' if variant.prune else '-unpruned'}.ranges.json"
            words += ("--calib-cache", str(cache), "--min-speedup", "0")
        exported = export_as(words)
        if exported.pruning is not None and not exported.pruning.removed_any:
            self.intact.add(variant.target)
