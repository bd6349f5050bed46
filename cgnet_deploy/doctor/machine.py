"""What this machine can run, and which extras are installed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from cgnet_deploy import __version__
from cgnet_deploy.bench.machine.environment import cpu_name
from cgnet_deploy.cpu import FLAGS, cpu_flags, int8_saturates
from cgnet_deploy.doctor.packages import NAME, Extra, extras
from cgnet_deploy.doctor.probe import PROBES, RUNNING, Finding, probe
from cgnet_deploy.tables import text_table
from cgnet_deploy.threads import cores

log = logging.getLogger(__name__)

SATURATES = (
    "ONNX Runtime is told to be exact, and is slower; OpenVINO gives other labels: measure the mIoU of int8 in it and "
    "in any other runtime, or take --target native"
)


@dataclass(frozen=True, slots=True)
class MachineReport:
    """cpu: its name and cores. cpu_flags: its instruction sets that a network's speed depends on, as the kernel calls
    them. findings: of each probe, by name. extras: none where the project runs from a bare checkout.

    saturates: as `int8_saturates`.
    """

    cpu: str
    findings: dict[str, Finding]
    extras: tuple[Extra, ...]
    saturates: bool = False
    cpu_flags: tuple[str, ...] = ()

    @property
    def runs_anything(self) -> bool:
        return any(self.findings[name].can for name in RUNNING)

    def text(self) -> str:
        lines = [("yes" if one.can else "no", one.part, one.found, one.todo) for one in self.findings.values()]
        if self.saturates:
            lines.append(("no", "exact int8", "a CPU without VNNI: products of u8 and s8 saturate", SATURATES))
        parts = [
            f"{NAME} {__version__}; {self.cpu}; {' '.join(self.cpu_flags) or 'instruction sets unknown'}",
            text_table(("", "what", "found", "to do"), lines),
        ]
        if self.extras:
            parts.append(text_table(("", "extra", "installed", "to do"), map(_line, self.extras)))
        return "\n\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "cpu": self.cpu,
            "cpu_flags": list(self.cpu_flags),
            "int8_saturates": self.saturates,
            "engines": {name: asdict(one) for name, one in self.findings.items()},
            "extras": [asdict(one) for one in self.extras],
        }


def examine() -> MachineReport:
    """Ask each runtime, in a process of its own."""
    log.info("asking each runtime, in a process of its own")
    findings = {name: probe(name) for name in PROBES}
    declared = tuple(extras())
    if not declared:
        log.info(f"{NAME} is not installed (a bare checkout?), so its extras are not known")
    flags = cpu_flags()
    features = tuple(flag for flag in FLAGS if flag in flags)
    return MachineReport(f"{cpu_name()}, {cores()} cores", findings, declared, int8_saturates(), features)


def _line(one: Extra) -> tuple[str, ...]:
    lacking = ", ".join(one.lacking)
    todo = f"pip install '{NAME}[{one.name}]': {lacking}" if lacking else ""
    return ("no" if lacking else "yes", one.name, ", ".join(one.here), todo)
