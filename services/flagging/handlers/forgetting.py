"""A child who is forgotten: with figures kept, their enrolments end that day; with figures erased, there never was one.

So nobody who is gone counts as present from then on, and every flag, tally and month follows by the rules that hold for
everybody. It is a function of the enrolment and of what is remembered: also where the tables are made anew.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from contracts.calendar import local_day
from services.flagging import facts
from services.flagging.facts import EnrollmentChanged
from services.flagging.store import forgetting as store
from services.flagging.store import policies
from services.flagging.store.ageing import take_dead_letters
from services.runtime import clock
from services.runtime.delivery import forgotten as memory
from services.runtime.delivery.forgotten import Kept, Word
from services.runtime.delivery.letting_go import Rule
from services.runtime.delivery.letting_go import let_go as by_rules
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context
from services.runtime.web.disclosing import let_go_disclosed

STUDENT = "student"
RULES = (
    Rule(kind="disclosures", years=lambda kept: kept.disclosures, take=let_go_disclosed),
    Rule(kind="dead_letters", years=lambda kept: kept.dead_letters, take=take_dead_letters),
)


async def apply(
    tx: Transaction, enrollments: Sequence[EnrollmentChanged], said: Sequence[facts.Forgetting]
) -> list[EnrollmentChanged]:
    """Remember who is forgotten, and give the enrolments as they stand then: those that came and those that change."""
    words = [word for each in said if (word := _word(each)) is not None]
    await memory.keep(tx.connection, words)
    ended = [(each.district, each.occurred_at) for each in said if isinstance(each, facts.DistrictEnded)]
    if ended:
        await memory.end(tx.connection, ended)
    known = await memory.read(
        tx.connection, STUDENT, {each.student_key for each in enrollments} | {word.subject for word in words}
    )
    if not known:
        return list(enrollments)
    # Taken out first: what is put in their place is of the same version, and would not stand against them.
    standing = await store.take_out(tx.connection, {word.subject: known[word.subject].version for word in words})
    changed = [*standing, *enrollments]
    return [
        after(each, known[each.student_key], zone=tx.zone) if each.student_key in known else each for each in changed
    ]


def after(enrollment: EnrollmentChanged, kept: Kept, *, zone: ZoneInfo) -> EnrollmentChanged:
    """Give an enrolment as it is once its child was forgotten; a newer one than that is another matter."""
    if enrollment.source_version > kept.version:
        return enrollment
    day = local_day(kept.forgotten_at + clock.moved(), zone=zone)
    if kept.figures == "erased" or enrollment.entry_date >= day:
        return msgspec.structs.replace(enrollment, withdrawn=True, household_key=None)
    ends_sooner: dict[str, Any] = {"exit_date": day, "exit_day_counts": False}
    left: date = enrollment.exit_date or date.max
    return enrollment if left <= day else msgspec.structs.replace(enrollment, **ends_sooner)


async def sweep(tx: Transaction) -> None:
    """Let go what stands of those whose figures are erased and of districts whose contract is over."""
    await store.erase_figures(tx.connection)
    if ended := await memory.ended(tx.connection):
        await store.erase_districts(tx.connection, ended)


async def keep_forgotten(context: Context) -> None:
    """Sweep again."""
    async with context.begin() as tx:
        await sweep(tx)


async def let_go(context: Context) -> None:
    """Let go who read of children, and records that could not be applied, where districts keep them no longer."""
    await by_rules(context.begin, RULES, policies.kept_years, now=clock.now())


def _word(said: facts.Forgetting) -> Word | None:
    if isinstance(said, facts.StudentForgotten):
        return Word(STUDENT, said.student_key, said.district, said.version, -1, said.figures, said.occurred_at)
    if isinstance(said, facts.StudentKnownAgain):
        return Word(
            STUDENT,
            said.student_key,
            said.district,
            said.forgotten_version,
            said.version,
            said.figures,
            said.forgotten_at,
        )
    return None
