"""`make observe`: every proof there is of metrics, boards, rules and routes, the long ones on a running stack too."""

import os
import subprocess
import sys

from deploy.local.machine import checkout
from deploy.local.parts import PartMissing
from deploy.observability.running import programs

PROOFS = ("tests/unit/observability", "tests/component/observability", "tests/pipeline/observability")
MISSING = 4


def main() -> int:
    """Install Prometheus and Alertmanager where it may, run the proofs, and say where the page is."""
    try:
        programs()
    except PartMissing as missing:
        print(f"make observe: {missing}", file=sys.stderr)
        return MISSING
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", *PROOFS],
        cwd=checkout(),
        env={**os.environ, "OBSERVE": "1"},
        check=False,
    )
    page = checkout() / ".leap" / "boards.html"
    if finished.returncode == 0:
        print(f"the boards, drawn without Grafana: {page}")
    return finished.returncode


if __name__ == "__main__":
    sys.exit(main())
