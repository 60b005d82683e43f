"""A sixth service is one entry in the list and its own folder: tried in a copy of the tree, nothing else edited."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.architecture.checks import ROOT

LIST = "contracts/services.py"
ENTRY = '    "mentoring": "Somebody to talk to, once a week.",\n'
FOLDER = "services/mentoring"
WRITTEN = {
    "__init__.py": "",
    "app.py": '''"""Mentoring as a table."""

from pathlib import Path

from services.mentoring import handlers
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service

service = Service(
    name="mentoring",
    migrations=Path(__file__).parent / "migrations",
    subscriptions=(
        Subscription(
            group="leap-mentoring", topics=("absence-flags",), decode=handlers.decode, handle=handlers.on_flags
        ),
    ),
)
''',
    "handlers.py": '''"""What flags come to, here: nothing yet."""

from aiokafka import ConsumerRecord

from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction


def decode(record: ConsumerRecord) -> None:
    """Read nothing."""


async def on_flags(transaction: Transaction, deliveries: list[Delivery]) -> None:
    """Do nothing."""
''',
    "api.py": "",
    "rules/__init__.py": "",
    "migrations/0001_mentoring.sql": "CREATE TABLE mentor (id uuid PRIMARY KEY);\n",
}
GENERATORS = ("contracts.generate", "deploy.observability.generate", "deploy.containers.generate")

# Each generated file that must name the sixth, and in how many lines: what it reads, where it runs, who misses it.
NAMING = {
    "contracts/asyncapi/mentoring.json": 1,
    "deploy/compose.yaml": 6,
    "deploy/compose.simulated.yaml": 2,
    "deploy/proxy.conf": 1,
    "deploy/observability/generated/prometheus.yml": 2,
    "deploy/observability/generated/rules/leap.yml": 6,
}

# Faults that only a check that looks at the sixth service can find, each with the linter's contract that it breaks.
FAULTS = {
    "store.py": ("import services.scheduling.app", "A service never imports another service"),
    "../runtime/late.py": ("import services.mentoring.app", "A service never imports another service"),
    "handlers.py": (
        "from services.mentoring import api",
        "In a service: app > api > commands",
    ),
    "rules/talks.py": ("import asyncpg", "Rules do no input or output"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with the sixth service, after every generator has run in it."""
    copy = tmp_path_factory.mktemp("sixth")
    for name in ("contracts", "services", "deploy", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    listed = (copy / LIST).read_text()
    (copy / LIST).write_text(listed.removesuffix("}\n") + ENTRY + "}\n")
    for name, text in WRITTEN.items():
        (copy / FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / FOLDER / name).write_text(text)
    for generator in GENERATORS:
        finished = run(copy, "-m", generator)
        assert finished.returncode == 0, finished.stderr
    return copy


def test_every_generated_file_names_it_and_nothing_else_is_edited(tree: Path) -> None:
    differing = {
        str(path.relative_to(tree))
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.read_bytes() != at_home(path, tree)
    }
    assert differing == {LIST, *(f"{FOLDER}/{name}" for name in WRITTEN), *NAMING}
    naming = {name: (tree / name).read_text().count("mentoring") for name in NAMING}
    assert {name: count for name, count in naming.items() if count < NAMING[name]} == {}


def test_it_runs_beside_the_others_and_is_missed_when_it_is_away(tree: Path) -> None:
    asked = """
import json
from deploy.commands import figures
from deploy.containers import composed, prepare
from deploy.local import HTTP_PORTS
from deploy.observability import alerts, prometheus
print(json.dumps({
    "process": HTTP_PORTS,
    "container": composed.LASTING,
    "login": list(prepare.SERVICES),
    "status": list(figures.SERVICES),
    "scraped": [each["job_name"] for each in prometheus.in_containers()["scrape_configs"]],
    "missed": [each.labels["service"] for each in alerts.listed() if each.name == "ConsumerAbsent"],
    "down": [each.expr for each in alerts.listed() if each.name == "ServiceDown"],
}))
"""
    found = json.loads(run(tree, "-c", asked).stdout)
    assert found["process"]["mentoring"] == 8006
    assert [place for place, names in found.items() if "mentoring" not in str(names)] == []


def test_the_tests_look_at_it(tree: Path) -> None:
    files = ("tests/architecture/test_imports.py", "tests/unit/containers", "tests/unit/observability/test_rules.py")
    finished = run(
        tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", *files, "-k", "not promtool and not fire"
    )
    assert finished.returncode == 0, finished.stdout
    assert "test_a_service_sees_its_own_login_and_no_other[mentoring]" in finished.stdout


def test_the_linter_is_content_with_it_as_it_is(tree: Path) -> None:
    finished = linter(tree)
    assert finished.returncode == 0, finished.stdout


def test_faults_in_it_are_found_by_both_linters(tree: Path) -> None:
    asked = """
from pathlib import Path
from tests.architecture import checks
looking = (
    checks.services_that_know_each_other, checks.wrong_directions, checks.rules_that_do_more,
    checks.runtime_that_knows_the_domain,
)
print("\\n".join(complaint for look in looking for complaint in look(Path())))
"""
    with ExitStack() as faults:
        for place, (line, _) in FAULTS.items():
            faults.enter_context(seeded(tree / FOLDER / place, line))
        checked, linted = run(tree, "-c", asked).stdout, linter(tree).stdout

    assert [line for line in checked.splitlines() if ": says" not in line] == [
        f"{FOLDER}/store.py: imports services.scheduling",
        f"{FOLDER}/handlers.py: imports api",
        f"{FOLDER}/rules/talks.py: a rule imports asyncpg",
        "services/runtime/late.py: imports services.mentoring",
    ]
    broken = [line.partition(" BROKEN")[0] for line in linted.splitlines() if " BROKEN" in line]
    assert len(broken) == len({contract for _, contract in FAULTS.values()})
    for place, (_, contract) in FAULTS.items():
        module = os.path.normpath(f"{FOLDER}/{place}").removesuffix(".py").replace("/", ".")
        assert re.search(rf"-\s+{re.escape(module)} -> ", linted), module
        assert any(each.startswith(contract) for each in broken)


def run(tree: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the copy, so that the copy is what is imported."""
    return subprocess.run(
        [sys.executable, *words], cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def linter(tree: Path) -> "subprocess.CompletedProcess[str]":
    """Run import-linter as `make check` does."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return run(tree, "-c", command, "--no-cache")


@contextmanager
def seeded(path: Path, line: str) -> Iterator[None]:
    """Put a line at the end of a file, and take it away again."""
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n")
    yield
    if before is None:
        path.unlink()
    else:
        path.write_text(before)


def at_home(path: Path, tree: Path) -> bytes | None:
    """Read the same file in the tree that was copied."""
    original = ROOT / path.relative_to(tree)
    return original.read_bytes() if original.is_file() else None
