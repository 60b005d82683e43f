"""A coordinator who sets something must see it happen: every field of a policy is read by what it is said to rule."""

import shutil
from pathlib import Path

import pytest

from tests.architecture.checks import ROOT
from tests.architecture.policy_fields import fields_nobody_reads, policy_fields


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the services and of what they read, to be given a fault."""
    for part in ("services", "contracts/events"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("static", "__pycache__"))
    return tmp_path


def changed(tree: Path, path: str, before: str, after: str) -> None:
    """Replace a text that stands in the file."""
    file = tree / path
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_every_field_of_every_policy_is_read() -> None:
    found = policy_fields(ROOT)
    assert {field.policy for field in found} == {
        "DistrictPolicy", "AbsencePolicy", "DeskPolicy", "Weights", "LogPolicy", "RetentionPolicy",
    }  # fmt: skip
    assert fields_nobody_reads(ROOT) == []


def test_a_control_that_is_declared_saved_and_shown_but_never_read_is_found(tree: Path) -> None:
    changed(
        tree,
        "contracts/events/districts.py",
        "    decline_days: int = Field(default=90, ge=1, le=730)\n",
        "    decline_days: int = Field(default=90, ge=1, le=730)\n    log_days: int = Field(default=5, ge=1, le=60)\n",
    )
    changed(
        tree,
        "services/scheduling/pages/policy.py",
        "NUMBERS: Sequence[tuple[str, str]] = (\n",
        'NUMBERS: Sequence[tuple[str, str]] = (\n    ("log_days", N_("Visit logged")),\n',
    )
    changed(
        tree,
        "services/scheduling/api/shown.py",
        "return policy.model_dump()",
        'return policy.model_dump() | {"log_days": policy.log_days}',
    )
    assert "DeskPolicy.log_days" in fields_nobody_reads(tree)


@pytest.mark.parametrize(
    ("path", "before", "after", "complaint"),
    [
        (
            "services/scheduling/rules/priority.py",
            "weights.sibling * (len(totals) - 1)",
            "40 * (len(totals) - 1)",
            "Weights.sibling",
        ),
        (
            "services/visitlog/store/office.py",
            "policy ->> 'log_due_business_days'",
            "policy ->> 'log_due'",
            "LogPolicy.log_due_business_days",
        ),
        (
            "services/visitlog/templates/form.html",
            "in policy.resources",
            "in RESOURCES",
            "LogPolicy.resources",
        ),
        (
            # The API goes on showing it: that is no reader.
            "services/flagging/rules/absence.py",
            "policy.early_absences",
            "2",
            "AbsencePolicy.early_absences",
        ),
    ],
)
def test_a_field_that_lost_its_reader_is_found(tree: Path, path: str, before: str, after: str, complaint: str) -> None:
    changed(tree, path, before, after)
    assert set(fields_nobody_reads(tree)) - set(fields_nobody_reads(ROOT)) == {complaint}
