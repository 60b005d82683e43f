"""Each closed list of the form is also a table of words, and what happened at the door a CHECK: all grow together."""

import re
from enum import StrEnum
from typing import Any

import pytest

from services.visitlog.pages import words
from services.visitlog.rules.form import Left, Log, Obstacle, Participant, ReferralStatus, Whose
from tests.component.visitlog.conftest import VisitLog

pytestmark = pytest.mark.asyncio(loop_scope="session")

OUTCOME: Any = Log.model_fields["outcome"].annotation


@pytest.mark.parametrize(
    ("table", "listed"),
    [
        ("outcomes", OUTCOME),
        ("participants", Participant),
        ("obstacles", Obstacle),
        ("left", Left),
        ("whose", Whose),
        ("statuses", ReferralStatus),
    ],
)
async def test_people_read_words_for_every_code_that_a_log_may_hold(table: str, listed: type[StrEnum]) -> None:
    assert list(words.WORDS[table]) == [each.value for each in listed]


async def test_the_table_of_logs_takes_every_outcome_of_the_form_and_no_other(world: VisitLog) -> None:
    (check,) = await world.pool.fetch(
        "SELECT pg_get_constraintdef(oid) AS says FROM pg_constraint WHERE conname = 'visit_log_outcome_check'"
    )
    assert set(re.findall(r"'(\w+)'", check["says"])) == {each.value for each in OUTCOME}
