"""Eleven bugs, each put into a copy of this tree, and the control by name that must find it there.

python -m tests.faults.seeded [NAME ...]    all without a name; 1 where a control lets its bug pass
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.broker import kafka_jars

ROOT = Path(__file__).parents[2]
_COPIED = ("contracts", "services", "deploy", "tests")
_CONTROLS = "tests/faults/test_controls.py::"
_RUNTIME = "tests/component/runtime/"
_ENDS_WITHIN_SECONDS = 600
FAILED = 1
"""How pytest ends when a test failed; an error in a fixture ends alike, so what it says is looked at too."""


class BugMisses(Exception):
    """The line that the bug replaces is not there, or is there more than once: seed it anew, the code has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One line that says something else. `says` is what the control's failure must tell."""

    name: str
    file: str
    line: str
    instead: str
    control: str
    says: str


BUGS = (
    Bug(
        name="deletion not remembered",
        file="services/ingest/rules/forgetting.py",
        line="        return self._replace(version=max(self.version, version))\n",
        instead="        return self\n",
        control="tests/component/ingest/test_forgotten.py::test_no_older_or_repeated_file_brings_a_family_back",
        says="AssertionError",
    ),
    Bug(
        name="commit first",
        file="services/runtime/delivery/batch.py",
        line="        fresh, moves = self._fresh(by_partition, positions)\n",
        instead="""\
        fresh, moves = self._fresh(by_partition, positions)
        await move_positions(transaction.connection, group, moves)
        await transaction.connection.execute("COMMIT")
        await transaction.connection.execute("BEGIN")
""",
        control=f"{_CONTROLS}test_a_death_before_the_commit_loses_nothing",
        says="lost: marks dealt with",
    ),
    Bug(
        name="no position check",
        file="services/runtime/delivery/batch.py",
        line="        if run[0].offset < positions[partition]:",
        instead="        if run[0].offset < 0:",
        control=f"{_RUNTIME}test_one_batch_one_transaction.py::test_the_same_records_again_count_nothing",
        says="assert (4, 0) == (1, 3)",
    ),
    Bug(
        name="dropped outbox row",
        file="services/runtime/delivery/lanes.py",
        line="            for row in rows:\n",
        instead="            for row in rows[1:] or rows:\n",
        control=f"{_CONTROLS}test_a_day_reaches_everybody",
        says="lost: request",
    ),
    Bug(
        name="swallowed exception",
        file="services/runtime/delivery/lanes.py",
        line="            if error := lane.sending.exception():\n",
        instead="            if (error := lane.sending.exception()) and False:\n",
        control=f"{_RUNTIME}test_lanes.py::test_what_fails_is_sent_again_from_where_it_failed",
        says="AssertionError",
    ),
    Bug(
        name="version restarted",
        file="services/flagging/handlers/work.py",
        line="        return Moment(district, self.registers.version(district), self._occurred_at)\n",
        instead="""\
        Work.told = getattr(Work, "told", 0) + 1
        return Moment(district, Work.told, self._occurred_at)
""",
        control=f"{_CONTROLS}test_a_flag_that_comes_and_goes_over_a_restart_stands_as_told_last",
        says="wrong: ",
    ),
    Bug(
        name="off by one day",
        file="services/flagging/rules/absence.py",
        line="    return exit_date if exit_day_counts else exit_date - timedelta(days=1)\n",
        instead="    return exit_date\n",
        control=f"{_CONTROLS}test_who_leaves_is_counted_up_to_the_day_before",
        says="wrong: ",
    ),
    # PostgreSQL's row security is not used here. What keeps districts apart is who may see which scope.
    Bug(
        name="wall between districts off",
        file="services/runtime/web/people.py",
        line="        return EVERYTHING in self.scopes or scope in self.scopes\n",
        instead="        return bool(scope)\n",
        control=f"{_CONTROLS}test_what_is_one_districts_is_shown_to_no_other",
        says="wrong: shown to another district",
    ),
    Bug(
        name="lease not fenced",
        file="services/runtime/delivery/lanes.py",
        line="            await self._lease.renew(self._connection)\n",
        instead="            await asyncio.sleep(0)\n",
        control=f"{_RUNTIME}test_leases.py::test_who_slept_through_its_lease_deletes_nothing",
        says="DID NOT RAISE",
    ),
    Bug(
        name="offset counted twice",
        file="services/flagging/handlers/places.py",
        line="            if log in known or log in again:\n",
        instead="            if False:\n",
        control=f"{_CONTROLS}test_a_death_between_publishing_and_commit_counts_no_mark_twice",
        says="doubled: marks dealt with",
    ),
    Bug(
        name="relay out of order",
        file="services/runtime/delivery/lanes.py",
        line="AND o.id <> ALL($2::bigint[]) ORDER BY o.id LIMIT $1",
        instead="AND o.id <> ALL($2::bigint[]) ORDER BY o.id DESC LIMIT $1",
        control=f"{_RUNTIME}test_lanes.py::test_what_fails_is_sent_again_from_where_it_failed",
        says="[8, 1] == [1, 8]",
    ),
)


def apply(bug: Bug, tree: Path) -> None:
    """Put the bug into a tree. Raises BugMisses."""
    file = tree / bug.file
    text = file.read_text()
    if text.count(bug.line) != 1:
        raise BugMisses(f"{bug.name}: {bug.file} has {text.count(bug.line)} times {bug.line.strip()!r}")
    file.write_text(text.replace(bug.line, bug.instead))


def copy_tree(to: Path) -> None:
    """Copy what runs and what tests it; the broker's jars are not copied but pointed at."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(ROOT / "pyproject.toml", to)
    (to / ".leap").mkdir()
    (to / ".leap" / "kafka").symlink_to(kafka_jars())


def run_control(tree: Path, control: str) -> tuple[int, str]:
    """Run a control in a tree as a process of its own; gives how pytest ended and what it said."""
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", control],
        cwd=tree,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_ENDS_WITHIN_SECONDS,
        check=False,
    )
    return finished.returncode, finished.stdout


def caught(bug: Bug) -> tuple[bool, str]:
    """Tell whether the bug's control fails in a copy with the bug, and says why; and give what it said."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        apply(bug, tree)
        code, said = run_control(tree, bug.control)
    return code == FAILED and bug.says in said and "1 failed" in said, said


def main(names: Iterable[str]) -> int:
    """Try these bugs, or all, and say which are caught."""
    chosen = [bug for bug in BUGS if bug.name in names] or list(BUGS)
    found = 0
    for bug in chosen:
        is_caught, said = caught(bug)
        found += is_caught
        sys.stdout.write(f"{bug.name}: {'caught' if is_caught else 'NOT caught'} by {bug.control.partition('::')[2]}\n")
        if not is_caught:
            sys.stdout.write(said[-4000:] + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"{found} of {len(chosen)}\n")
    return 0 if found == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
