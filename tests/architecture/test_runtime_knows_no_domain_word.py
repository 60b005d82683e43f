"""The runtime serves any service: it imports none, no contract, and speaks of nothing they are about."""

import ast
import re
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "services" / "runtime"
FILES = sorted(each for each in RUNTIME.rglob("*") if each.suffix in {".py", ".sql", ".html", ".po"})

DOMAIN_WORDS = re.compile(
    r"(?i)absen|attend|calendar|chronic|district|enrol|famil|flagging|household|incident|ingest|pupil|reporting|"
    r"roll_|roster|schedul|school|student|teacher|visit"
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_domain_word(file: Path) -> None:
    found = [
        (number, line) for number, line in enumerate(file.read_text().splitlines(), 1) if DOMAIN_WORDS.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("file", [each for each in FILES if each.suffix == ".py"], ids=lambda file: file.name)
def test_no_import_of_a_service_or_a_contract(file: Path) -> None:
    assert [name for name in imported(file.read_text()) if is_foreign(name)] == []


def test_the_checks_can_fail() -> None:
    assert DOMAIN_WORDS.search("def on_student_moved(")
    assert [
        name for name in imported("from services.flagging import rules\nimport contracts.topics") if is_foreign(name)
    ]


def imported(source: str) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def is_foreign(name: str) -> bool:
    ours = name == "services.runtime" or name.startswith("services.runtime.")
    return name.split(".")[0] in {"contracts", "deploy", "tests"} or (name.startswith("services") and not ours)
