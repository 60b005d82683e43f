"""A copy of the contracts and migrations, the gate run on it as people run it, and ways to spoil it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from contracts import compatibility, released
from contracts.generate import FOLDER

ROOT = FOLDER.parent
VISITS = "contracts/events/visits.py"
TOPICS = "contracts/topics.py"
FLAGGING = "services/flagging/migrations"
LIST = "contracts/released/list.sha256"
PEOPLE = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def copied_to(root: Path) -> Path:
    """Copy the contracts and migrations, with everything in them released."""
    shutil.copytree(FOLDER, root / "contracts", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (ROOT / "services").glob("*/migrations/*.sql"):
        copy = root / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    released.extend(root / "contracts")
    return root


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the copy as people and `make check` run it."""
    return subprocess.run([sys.executable, "-m", *arguments], cwd=tree, capture_output=True, text=True, check=False)


def gate(tree: Path, *arguments: str) -> tuple[int, str]:
    """Run the gate on the copy; its exit code and what it says."""
    ran = run(tree, "contracts.compatibility", *arguments)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout


def edit(tree: Path, path: str, before: str, after: str) -> None:
    """Replace a passage that is there."""
    text = (tree / path).read_text()
    assert before in text
    (tree / path).write_text(text.replace(before, after))


def git(tree: Path, *arguments: str) -> None:
    """Run git in the copy."""
    subprocess.run(["git", "-C", str(tree), *PEOPLE, *arguments], check=True, capture_output=True)


def commit(tree: Path) -> None:
    """Commit all of the copy as it is."""
    if not (tree / ".git").exists():
        git(tree, "init", "-q")
    git(tree, "add", "--all")
    git(tree, "commit", "-q", "-m", "as it is", "--allow-empty")


def problems(tree: Path) -> list[str]:
    """Ask what is broken in the copy, of what was released."""
    return compatibility.broken_releases(tree / "contracts")


def first_form(tree: Path, what: str) -> released.Entry:
    """Find the entry that released a thing first."""
    return next(each for each in released.read_list(tree / "contracts") if each.what == what)


def release(tree: Path, file: str, text: str = "SELECT 1;\n") -> str:
    """Release one more file in the copy; the number of the release."""
    (tree / file).write_text(text)
    (entry,) = released.extend(tree / "contracts")
    return entry.release


def drop(tree: Path, what: str, *, with_bytes: bool) -> None:
    """Take an entry out of the copy's list."""
    entry = first_form(tree, what)
    edit(tree, LIST, f"{entry.digest}  {entry.place}\n", "")
    if with_bytes:
        (tree / "contracts/released" / entry.place).unlink()


def rewrite(tree: Path, what: str, before: bytes, after: bytes) -> None:
    """Change an entry's bytes, and its digest in the list so that they agree."""
    entry = first_form(tree, what)
    file = tree / "contracts/released" / entry.place
    assert before in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(before, after))
    edit(tree, LIST, entry.digest, hashlib.sha256(file.read_bytes()).hexdigest())
