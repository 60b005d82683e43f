"""What stops a running table, found in new migrations before they are released: squawk's rules, and three of our own.

python -m tests.architecture.migrations    1 where it found any. A line that must stay says why, and above itself
`-- squawk-ignore RULE`.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from services.runtime.revision import RUNTIME_MIGRATIONS, File, Stage, number_of, stage_of
from tests.architecture.checks import ROOT

SQUAWK = Path(sys.executable).with_name("squawk")
BEFORE = {"flagging": 10, "ingest": 5, "reporting": 8, "runtime": 5, "scheduling": 17, "visitlog": 5}
"""The newest file of each owner that stood when the check came: it and those before it are exempt, and never change."""

# Whoever runs the files sets the time limits and remembers what ran; the rest is taste.
_NOT_ASKED = (
    "require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts", "prefer-bigint-over-int",
    "prefer-bigint-over-smallint", "prefer-identity",
)  # fmt: skip
# What breaks the older program: it is gone when a file of after it runs.
_TAKES_AWAY = tuple(
    f"ban-drop-{what}"
    for what in (
        "column", "constraint", "default", "domain", "function", "not-null", "policy", "sequence", "table", "trigger",
        "type", "view",
    )
)  # fmt: skip
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_CHANGES_A_TABLE = re.compile(r"^\s*ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(\w+)", re.IGNORECASE | re.MULTILINE)
_MAKES_A_TABLE = re.compile(r"^\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE | re.MULTILINE)
_CHANGES_ROWS = re.compile(r"^\s*(?:UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE | re.MULTILINE)
_CONCURRENTLY = re.compile(r"^(?!\s*--).*\bCONCURRENTLY\b", re.IGNORECASE | re.MULTILINE)


def new_files(folders: Iterable[Path]) -> list[Path]:
    """Give the files that came after the check did."""
    return [
        file
        for folder in folders
        for file in sorted(folder.glob("*.sql"))
        if number_of(file.name) > BEFORE.get(folder.parent.name, 0)
    ]


def misbuilt(file: Path) -> list[str]:
    """Say what of a file's form makes it wait, or makes others wait."""
    text, found = file.read_text(), []
    outside = File(file.name, text).is_outside
    if not _NAME.fullmatch(file.name):
        found.append("named otherwise than 0001_words.sql, 0001_pre_words.sql or 0001_post_words.sql")
    if outside and len(re.findall(r";\s*$", re.sub(r"--.*", "", text), re.MULTILINE)) > 1:
        found.append("outside a transaction a file is one statement: another one would be half done when it fails")
    if outside is not bool(_CONCURRENTLY.search(text)):
        found.append("CONCURRENTLY and the first line `-- outside a transaction` go together")
    changed = set(_CHANGES_A_TABLE.findall(text)) - set(_MAKES_A_TABLE.findall(text))
    if changed and (set(_CHANGES_ROWS.findall(text)) - set(_MAKES_A_TABLE.findall(text))):
        found.append(
            f"holds {', '.join(sorted(changed))} for as long as rows are changed: put the rows into a file of their own"
        )
    return [f"{file.parent.parent.name}/{file.name}: {complaint}" for complaint in found]


def squawks(files: Iterable[Path]) -> list[str]:
    """Say what squawk finds: locks that writers wait for, and what the older program could not stand."""
    found: list[str] = []
    for file in files:
        after = stage_of(file.name) is Stage.POST
        excluded = ",".join((*_NOT_ASKED, *(_TAKES_AWAY if after else ())))
        inside = () if File(file.name, file.read_text()).is_outside else ("--assume-in-transaction",)
        command = [str(SQUAWK), "--pg-version", "18", "--reporter", "gcc", "--exclude", excluded, *inside, str(file)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = re.findall(rf"^{re.escape(str(file))}:(\d+):\d+: \w+: (.*)$", told.stdout, re.MULTILINE)
        if told.returncode and not lines:
            raise RuntimeError(f"squawk failed on {file.name}: {told.stderr or told.stdout}")
        found += [f"{file.parent.parent.name}/{file.name}:{int(line) + 1}: {what}" for line, what in lines]
    return found


def problems(folders: Iterable[Path]) -> list[str]:
    """Say everything in new files that would stop a running table or the program before."""
    files = new_files(folders)
    return [*(complaint for file in files for complaint in misbuilt(file)), *squawks(files)]


def folders_of(root: Path) -> list[Path]:
    """Give every folder of migrations below `services`."""
    return sorted(folder for folder in (root / "services").glob("*/migrations") if folder.is_dir())


if __name__ == "__main__":
    assert RUNTIME_MIGRATIONS in folders_of(ROOT)
    sys.exit("\n".join(problems(folders_of(ROOT))) or 0)
