"""Boards held against Grafana's own TypeScript types: a misspelt field or a wrong value does not compile."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

SCHEMA = Path(__file__).parent / "schema"


class CompilerMissing(Exception):
    """npm or the packages it should install can't be had here; the message says what is then not proved."""


def mistakes(boards: Mapping[str, str]) -> list[str]:
    """Compile each board's JSON as a Dashboard and give the compiler's complaints. Raises CompilerMissing."""
    modules = _installed()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in ("plain.ts", "tsconfig.json"):
            shutil.copy(SCHEMA / name, folder)
        (folder / "node_modules").symlink_to(modules)
        lines = ["import type { Dashboard } from '@grafana/schema';", "import type { Plain } from './plain';"]
        for number, (name, text) in enumerate(sorted(boards.items())):
            lines += [f"// {name}", f"export const board{number}: Plain<Dashboard> = {text};"]
        (folder / "boards.ts").write_text("\n".join(lines), encoding="utf-8")
        finished = subprocess.run(
            [str(modules / ".bin" / "tsc"), "-p", "."], cwd=folder, capture_output=True, text=True, check=False
        )
    complaints = finished.stdout.splitlines()
    return complaints if finished.returncode else []


def _installed() -> Path:
    modules = SCHEMA / "node_modules"
    if not (modules / ".bin" / "tsc").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise CompilerMissing("npm is missing: the boards are not held against Grafana's types")
        finished = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=SCHEMA,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise CompilerMissing("npm could not install Grafana's types: the boards are not held against them")
    return modules
