"""What this machine allows: its checkout, its package manager, its unprivileged user."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.parts import PartMissing


def checkout() -> Path:
    """Give the folder this code was checked out to: two checkouts never share state."""
    return Path(__file__).resolve().parents[2]


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put the text in place of the file in one step: nobody reads half of it, and none but us unless said."""
    arriving = path.with_suffix(".new")
    with os.fdopen(os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    arriving.rename(path)


def apt_install(packages: list[str], *, otherwise: str) -> None:
    """Install Debian packages where the user is root and apt-get is there; else it raises PartMissing."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PartMissing(otherwise)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "--no-install-recommends", *packages]):
        finished = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise PartMissing(
            f"{otherwise}\n(apt-get install {' '.join(packages)} failed: {finished.stderr[-500:].strip()})"
        )
