"""HTTP: why a student is flagged, and how much has been dealt with."""

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query

from contracts.calendar import first_day_of, local_day, school_year_of
from services.flagging import telling
from services.flagging.handlers import disclosing
from services.flagging.rules import absence
from services.flagging.rules.absence import Level, Policy
from services.flagging.rules.rolls import CATEGORIES, NO_PART, TAKEN_BACK, Mark
from services.flagging.store import claims, policies, reads
from services.flagging.store.reads import Part
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context
from services.runtime.web import disclosure_log
from services.runtime.web.disclosing import Shown, disclose
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in

Who = Annotated[Person, Depends(signed_in)]
MOST_CLAIMS = 1000


def routes(context: Context) -> APIRouter:
    """Offer the service's reads."""
    router = APIRouter(prefix="/v1")

    @router.get("/students/{student_key}/absence")
    async def absence_of(
        student_key: UUID, person: Who, school_year: Annotated[int | None, Query(ge=1900, le=2199)] = None
    ) -> dict[str, Any]:
        """Tell one student's year: the days, the three accumulators, the rule with its numbers, the flag's history."""
        async with context.begin() as tx:
            connection = tx.connection
            year = school_year or await reads.newest_school_year(connection, student_key)
            parts = await reads.parts_of(connection, student_key, year) if year else []
            own = [part for part in parts if part.student_key == student_key]
            waiting = await reads.waiting_of(connection, student_key, year) if year else None
            if year and waiting and person.may_see(waiting[0]):
                await _disclose(tx, person, waiting[0], student_key)
                return _waiting(student_key, year, days=waiting[1])
            # Another district's student is answered like one that nobody knows.
            if year is None or not own or not person.may_see(own[-1].district):
                raise HTTPException(404, "no attendance is known of this student in this school year")
            last_year = await reads.parts_of(connection, student_key, year - 1)
            decisions = await policies.read(connection, [own[-1].district])
            history = await reads.flag_history(connection, student_key, year)
            marks = await reads.marks_of(connection, student_key, year)
            shared = await claims.shared_with(connection, student_key, year, own[-1].district)
            await _disclose(tx, person, own[-1].district, student_key)
        former = [part.days for part in last_year if part.student_key == student_key and part.grade != "PK"]
        chronic_last_year = bool(absence.was_chronic(parts=former))
        as_of = _as_of(own, year)
        policy = decisions.of(own[-1].district, as_of or first_day_of(year))
        # Whoever enrols a state's number must not learn by that what another district holds of the child.
        shown = [part for part in parts if part.district in {own[-1].district, *shared}]
        explained = _explained(student_key, year, own, shown, policy, chronic_last_year, history)
        explained["accumulators"][-1]["enrolled_elsewhere"] = len(shown) < len(parts)
        return explained | {"as_of": as_of} | _kinds(own, year, marks, policy)

    @router.get("/claims")
    async def list_claims(
        person: Who, school_year: Annotated[int | None, Query(ge=1900, le=2199)] = None
    ) -> dict[str, Any]:
        """List the students whose state number another district enrols too, and who has confirmed a transfer.

        Both districts' coordinators see that it is so and with whom, and of the other's days nothing.
        """
        year = school_year or school_year_of(local_day(clock.now(), zone=context.settings.zone))
        districts = None if person.sees_everything else sorted(person.scopes)
        async with context.pool.acquire() as connection:
            found = await claims.list_claims(connection, districts=districts, school_year=year, limit=MOST_CLAIMS + 1)
        return {"school_year": year, "claims": [each._asdict() for each in found[:MOST_CLAIMS]],
                "more": len(found) > MOST_CLAIMS}  # fmt: skip

    @router.get("/households/{household_key}/held")
    async def held(household_key: UUID, person: Who) -> dict[str, Any]:
        """Name the children of a household of whom days are held, for a family that asks; the look is recorded."""
        async with context.begin() as tx:
            children = await reads.children_of(tx.connection, household_key)
            if not children or not all(person.may_see(district) for _, district in children):
                raise HTTPException(404, "nothing is known of this household")
            shown = [Shown(district, household_key, child) for child, district in children]
            await disclose(tx.connection, person, shown, disclosing.HELD, as_of=clock.now())
        return {"household_key": household_key, "children": [child for child, _ in children]}

    @router.get("/counts")
    async def counts(_: Who) -> dict[str, Any]:
        """Count marks, students, standing flags and what this school year's rolls leave open, per district."""
        today = local_day(clock.now(), zone=context.settings.zone)
        async with context.pool.acquire() as connection:
            return {"districts": await reads.counts(connection, today)}

    router.include_router(disclosure_log.routes(context))
    return router


async def _disclose(tx: Transaction, person: Person, district: str, student_key: UUID) -> None:
    """Record that the child's days are shown. Where no household is known, the child stands as one alone."""
    household_key = await reads.household_of(tx.connection, student_key) or student_key
    shown = [Shown(district, household_key, student_key)]
    await disclose(tx.connection, person, shown, disclosing.DAYS, as_of=clock.now())


def _waiting(student_key: UUID, school_year: int, *, days: int) -> dict[str, Any]:
    return {
        "student_key": student_key,
        "school_year": school_year,
        "level": Level.none.name,
        "sentence": f"Marks of {days} days wait: no enrolment of this number is known. They count when one comes.",
        "waiting_days": days,
        "accumulators": [],
        "absent_days": [],
        "history": [],
    }


def _explained(
    student_key: UUID,
    school_year: int,
    own: Sequence[Part],
    everywhere: Sequence[Part],
    policy: Policy,
    chronic_last_year: bool,
    history: Sequence[reads.FlagChange],
) -> dict[str, Any]:
    counted, absent = absence.overlay(parts=[part.days for part in own])
    flagged = [part.days for part in own if part.grade != "PK"]
    level, flag_counted, flag_absent, _ = absence.judged(
        parts=flagged, chronic_last_year=chronic_last_year, policy=policy
    )
    state_counted, state_absent = absence.overlay(parts=[part.days for part in everywhere])
    return {
        "student_key": student_key,
        "school_year": school_year,
        "level": level.name,
        "sentence": absence.why(
            level=level,
            days_absent=flag_absent.bit_count(),
            days_enrolled=flag_counted.bit_count(),
            policy=policy,
        )
        if flagged
        else "Pre-kindergarten is outside chronic absence.",
        "accumulators": [
            *(
                {"accumulator": "school", "school": school, "district": parts[-1].district, "grade": parts[-1].grade}
                | _figures(*absence.overlay(parts=[part.days for part in parts]))
                for school, parts in _by_school(own).items()
            ),
            {"accumulator": "district", "district": own[-1].district} | _figures(counted, absent),
            {"accumulator": "state"} | _figures(state_counted, state_absent),
        ],
        "absent_days": absence.days_of(days=absent, school_year=school_year),
        "rule": {
            "test": "10 * days_absent >= days_enrolled",
            "accumulator": policy.accumulator,
            "min_enrolled_days": policy.min_enrolled_days,
            "early_absences": policy.early_absences,
            "early_days": policy.early_days,
            "policy_version": policy.version,
            "chronically_absent_last_year": chronic_last_year,
        },
        "history": [
            change._asdict() | {"level": Level(change.level).name, "previous_level": Level(change.previous_level).name}
            for change in history
        ],
    }


def _by_school(parts: Sequence[Part]) -> dict[str, list[Part]]:
    by_school: dict[str, list[Part]] = {}
    for part in parts:
        by_school.setdefault(part.days.school, []).append(part)
    return by_school


def _figures(counted: int, absent: int) -> dict[str, Any]:
    return {"days_enrolled": counted.bit_count(), "days_absent": absent.bit_count()}


def _as_of(parts: Sequence[Part], school_year: int) -> date | None:
    """Give the last day that counts for the student: every figure of the answer is of that day."""
    counted, _ = absence.overlay(parts=[part.days for part in parts])
    return telling.last_day(counted, school_year) if counted else None


def _kinds(
    parts: Sequence[Part], school_year: int, marks: Mapping[date, Mapping[str, Mark]], policy: Policy
) -> dict[str, Any]:
    """Sort the days that count by what was said of them at the school to which each goes.

    `local_days_absent` is a fraction of days as the district counts for itself, where its policy counts otherwise.
    """
    absences: dict[str, list[date]] = {}
    tardies: list[date] = []
    local = Fraction(0)
    claimed = 0
    for part in sorted(parts, key=lambda part: (part.days.entry_date, part.days.stint), reverse=True):
        for day in absence.days_of(days=part.days.counted & ~claimed, school_year=school_year):
            mark = marks.get(day, {}).get(part.days.school)
            if mark is None or mark.code == TAKEN_BACK:
                continue
            if mark.is_missed:
                absences.setdefault(str(CATEGORIES[mark.code]), []).append(day)
            elif CATEGORIES[mark.code] == "tardy":
                tardies.append(day)
            local += _local(mark, policy)
        claimed |= part.days.counted
    found = {"absences": {kind: sorted(days) for kind, days in absences.items()}, "tardies": sorted(tardies)}
    counts_otherwise = policy.fractions_of_a_day or policy.in_school_suspension_is_absence
    return found | {"local_days_absent": str(local)} if counts_otherwise else found


def _local(mark: Mark, policy: Policy) -> Fraction:
    has_share = mark.present_parts != NO_PART and mark.day_parts != NO_PART
    return absence.local_absence(
        category=str(CATEGORIES[mark.code]),
        present_parts=mark.present_parts if has_share else None,
        day_parts=mark.day_parts if has_share else None,
        policy=policy,
    )
