"""HTTP: why a student is flagged, and how much has been dealt with."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query

from services.flagging.rules import absence
from services.flagging.rules.absence import Level, Policy, SchoolPart
from services.flagging.store import reads
from services.flagging.store.reads import Part
from services.runtime.service import Context
from services.runtime.web.people import Person
from services.runtime.web.sign_in import require_role, signed_in

Who = Annotated[Person, Depends(signed_in)]
_WORK_WITH_STUDENTS = ("scheduler", "visitor", "coordinator", "district", "auditor")


def routes(context: Context) -> APIRouter:
    """Offer the service's reads."""
    router = APIRouter(prefix="/v1")

    @router.get("/students/{student_key}/absence")
    async def absence_of(
        student_key: UUID, person: Who, school_year: Annotated[int | None, Query(ge=1900, le=2199)] = None
    ) -> dict[str, Any]:
        """One student's year: the days, the three accumulators, the rule with its numbers, the flag's history."""
        require_role(person, *_WORK_WITH_STUDENTS)
        async with context.pool.acquire() as connection:
            year = school_year or await reads.newest_school_year(connection, student_key)
            parts = await reads.parts_of(connection, student_key, year) if year else []
            own = [part for part in parts if part.student_key == student_key]
            # Another district's student is answered like one that nobody knows.
            if year is None or not own or not person.may_see(own[-1].district):
                raise HTTPException(404, "no attendance is known of this student in this school year")
            last_year = await reads.parts_of(connection, student_key, year - 1)
            policy = await reads.policy_of(connection, own[-1].district)
            history = await reads.flag_history(connection, student_key, year)
        chronic_last_year = _chronic([part for part in last_year if part.student_key == student_key], policy)
        return _explained(student_key, year, own, parts, policy, chronic_last_year, history)

    @router.get("/counts")
    async def counts(person: Who) -> dict[str, Any]:
        """Marks, students and standing flags, per district."""
        require_role(person, "operations")
        async with context.pool.acquire() as connection:
            return {"districts": await reads.counts(connection)}

    return router


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
    level, flag_counted, flag_absent = _judged(flagged, chronic_last_year, policy)
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
                {"accumulator": "school", "school": part.days.school, "district": part.district, "grade": part.grade}
                | _figures(part.days.counted, part.days.absent)
                for part in own
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


def _judged(parts: Sequence[SchoolPart], chronic_last_year: bool, policy: Policy) -> tuple[Level, int, int]:
    """Judge by the policy's accumulator: of several schools the one where it has gone furthest, with its own days."""
    by_school = policy.accumulator == "school" and len(parts) > 1
    sets = [(part.counted, part.absent) for part in parts] if by_school else [absence.overlay(parts=parts)]
    judged = [
        (absence.level(counted=days, absent=missed, chronic_last_year=chronic_last_year, policy=policy), days, missed)
        for days, missed in sets
    ]
    return max(judged, key=lambda each: (each[0], each[2].bit_count()))


def _figures(counted: int, absent: int) -> dict[str, Any]:
    return {"days_enrolled": counted.bit_count(), "days_absent": absent.bit_count()}


def _chronic(parts: Sequence[Part], policy: Policy) -> bool:
    counted, absent = absence.overlay(parts=[part.days for part in parts if part.grade != "PK"])
    return absence.is_chronically_absent(
        days_absent=absent.bit_count(),
        days_enrolled=counted.bit_count(),
        min_enrolled_days=policy.min_enrolled_days,
    )
