"""Known faults of the packages that are installed here, by pip-audit; `make audit` runs it.

python -m cgnet_deploy.bench.tools.audit

pip-audit ends with 0 also where its index told it nothing of any package. Here that is a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

COMMAND = ("-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json")
UNPUBLISHED = ("editable", "+cpu")  # of an index: this project, and PyTorch's builds for CPUs


def findings(report: Mapping[str, Any]) -> list[str]:
    """report: pip-audit's JSON. A line for each known fault, and one if packages could not be looked up."""
    packages: Sequence[Mapping[str, Any]] = report["dependencies"]
    lines = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for one in packages
        for fault in one.get("vulns", ())
    ]
    unknown = [
        one["name"]
        for one in packages
        if "skip_reason" in one and not any(word in one["skip_reason"] for word in UNPUBLISHED)
    ]
    if unknown:
        lines.append(f"{len(unknown)} of {len(packages)} packages could not be looked up, such as {unknown[0]}")
    return lines


def main() -> int:
    done = subprocess.run([sys.executable, *COMMAND], stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        return done.returncode or 1
    lines = findings(json.loads(done.stdout))
    print("\n".join(lines) or "nothing known")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
