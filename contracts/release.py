"""`make release VERSION=x.y.z`: what is new is listed as released, under a version, a date and a tag of its own.

On the main branch, with nothing uncommitted. Changes nothing where it refuses, and pushes nothing.
"""

import argparse
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from contracts import compatibility, released
from contracts.generate import FOLDER

MAIN = "main"
UNRELEASED = "## Unreleased"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Each place that names the version, with what stands before and behind it.
_NAMED_IN = {
    "pyproject.toml": r'(?m)(?<=^version = ")[\d.]+(?="$)',
    "deploy/Dockerfile": r'(?<=image\.version=")[\d.]+(?=")',
}


class ReleaseRefused(Exception):
    """Nothing was changed; the message says what to do before the same command."""


def refuse_unless_ready(root: Path, version: str) -> None:
    """Raise ReleaseRefused unless the tree can be released under this version as it is."""
    if not _VERSION.fullmatch(version):
        raise ReleaseRefused(f"VERSION={version!r} is no version: make release VERSION=x.y.z")
    if _numbers(version) <= _numbers(current := current_version(root)):
        raise ReleaseRefused(f"{version} is not newer than {current}, which pyproject.toml names")
    if (branch := _git(root, "branch", "--show-current").strip()) != MAIN:
        raise ReleaseRefused(f"this is {branch or 'no branch'}: releases are made on {MAIN}")
    if changed := _git(root, "status", "--porcelain").splitlines():
        raise ReleaseRefused(f"commit or put away first: {', '.join(line[3:] for line in changed[:5])}")
    if _git(root, "tag", "--list", f"v{version}"):
        raise ReleaseRefused(f"the tag v{version} exists: take the next version")
    if not news(root):
        raise ReleaseRefused(f"CHANGELOG.md says nothing under {UNRELEASED!r}: say what users and operators notice")


def current_version(root: Path) -> str:
    """Read the version that was released last."""
    found = re.search(_NAMED_IN["pyproject.toml"], (root / "pyproject.toml").read_text("utf-8"))
    if found is None:
        raise ReleaseRefused("pyproject.toml names no version")
    return found[0]


def news(root: Path) -> str:
    """Read what the CHANGELOG says of what is not released yet, without its headings."""
    _, _, behind = (root / "CHANGELOG.md").read_text("utf-8").partition(f"{UNRELEASED}\n")
    section = re.split(r"(?m)^## ", behind)[0]
    return re.sub(r"(?m)^#.*$", "", section).strip()


def write(root: Path, version: str, *, on: date) -> list[str]:
    """Name the version wherever it stands, and list what is new as released; give what was listed."""
    places = {**_NAMED_IN, "CHANGELOG.md": rf"(?m)^{UNRELEASED}$"}
    texts = {name: (root / name).read_text("utf-8") for name in places}
    if lost := [name for name, pattern in places.items() if not re.search(pattern, texts[name])]:
        raise ReleaseRefused(f"{', '.join(lost)}: the place where the version stands is lost: restore it")
    for name, pattern in places.items():
        heading = f"{UNRELEASED}\n\n## {version} ({on.isoformat()})" if name == "CHANGELOG.md" else version
        (root / name).write_text(re.sub(pattern, heading, texts[name], count=1), "utf-8")
    return [released.named(entry.what) for entry in released.extend(root / "contracts")]


def release(root: Path, version: str, *, on: date) -> list[str]:
    """Make the release: one commit and its tag; give what was listed. Raises ReleaseRefused, and nothing is changed."""
    refuse_unless_ready(root, version)
    if broken := compatibility.broken_releases(root / "contracts"):
        raise ReleaseRefused("; ".join(broken))

    listed = write(root, version, on=on)
    try:
        _git(root, "add", "contracts/released", "CHANGELOG.md", *_NAMED_IN)
        _git(root, "commit", "--quiet", "--message", f"Release {version}")
    except ReleaseRefused:
        # Nothing else was in the tree: that had been asked first.
        _git(root, "reset", "--quiet", "--hard")
        _git(root, "clean", "--quiet", "--force", "-d", "contracts/released")
        raise
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"LEAP {version}")
    return listed


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _git(root: Path, *arguments: str) -> str:
    told = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if told.returncode:
        raise ReleaseRefused(f"git {arguments[0]}: {told.stderr.strip() or told.stdout.strip()}")
    return told.stdout


def main(arguments: list[str] | None = None) -> int:
    """Release, or with --ready only say whether that could be done; 1 where it is refused, with the reason."""
    parser = argparse.ArgumentParser(prog="python -m contracts.release", description="Make a release.")
    parser.add_argument("version", metavar="x.y.z")
    parser.add_argument("--ready", action="store_true", help="change nothing, say whether it could be done")
    asked = parser.parse_args(arguments)
    root = FOLDER.parent
    try:
        if asked.ready:
            refuse_unless_ready(root, asked.version)
            return 0
        listed = release(root, asked.version, on=datetime.now(UTC).date())
    except ReleaseRefused as reason:
        sys.stderr.write(f"not released: {reason}\n")
        return 1
    sys.stdout.writelines(f"released: {name}\n" for name in listed)
    sys.stdout.write(f"v{asked.version} is tagged. Publish it: git push origin {MAIN} v{asked.version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
