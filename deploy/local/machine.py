"""What this machine allows: its checkout, its package manager, its unprivileged user."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from deploy.local.parts import PartMissing

UNPRIVILEGED_USER = "nobody"

# As the kernel numbers them in /proc/self/status.
_CAP_DAC_OVERRIDE, _CAP_SETPCAP = 1 << 1, 1 << 8


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


def as_unprivileged(*, otherwise: str) -> list[str]:
    """Give the words before a command that keep it from being root; none where we are not root ourselves.

    The other user gets through the folders that root gets through: a home that only root may enter is no obstacle,
    unless root has no such right to lend. Raises PartMissing where root can't become anybody else.
    """
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise PartMissing(f"root can't become another user: setpriv is missing (Debian: util-linux). {otherwise}")
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    words = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if _may_lend_passage():
        words += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        # Or access(2), by which a program asks what it may, would forget what was lent: it asks as who we became.
        words += ["--securebits=+no_setuid_fixup"]
    return [*words, "--"]


def give_to_unprivileged(*paths: Path) -> None:
    """Make that user the owner, where we are root; nobody else's files change hands."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)


def out_of_reach(*paths: Path) -> str | None:
    """Say which of the paths that user can't reach, and since which folder; None where nothing is in the way."""
    if os.geteuid() != 0 or _may_lend_passage():
        return None
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    for path in paths:
        for folder in [*reversed(path.absolute().parents), path.absolute()]:
            found = folder.stat()
            shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid == user.pw_gid else 0
            if not found.st_mode >> shift & 1:
                return (
                    f"user {UNPRIVILEGED_USER} can't reach {path}, since {folder} has mode {found.st_mode & 0o7777:04o}"
                    " (and root lacks CAP_DAC_OVERRIDE or CAP_SETPCAP here, by which it would let it through)"
                )
    return None


def _may_lend_passage() -> bool:
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    held = next(int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("CapEff"))
    return held & _CAP_DAC_OVERRIDE > 0 and held & _CAP_SETPCAP > 0
