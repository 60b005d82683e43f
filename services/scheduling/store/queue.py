"""What the desk shows: the queue by tab and filter, how many wait where, and families found by name.

Every read is bounded by districts: a request of another district is as if it were not there.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts.identities import microseconds
from services.runtime.database import Connection

PAGE_ROWS = 50
MOST_CLOSED_COUNTED = 1000
MOST_FOUND = 30
MOST_NEAR = 400
"""Households with a name like the one sought that are looked at: not every one of them has a request."""
ENOUGH_FOUND = 3

GRADES_BY_BAND = {
    "pk-2": ("PK", "K", "1", "2"),
    "3-5": ("3", "4", "5"),
    "6-8": ("6", "7", "8"),
    "9-12": ("9", "10", "11", "12"),
}
NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last row of a page: the next page begins after it, whatever was added before it meanwhile."""

    pinned: bool
    points: int
    opened_at: datetime
    request_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which requests a person looks at. None: everything they may see."""

    districts: tuple[str, ...] | None
    stage: str | None = None
    school: str | None = None
    grade_band: str | None = None
    language: str | None = None
    owner: str | None = None
    age: str | None = None
    interpreter: bool = False
    promise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A request as a line of the queue. No name is in it: who it is, is shown where it is recorded who looked."""

    request_id: UUID
    household_key: UUID
    version: int
    district: str
    school: str
    stage: str
    closed_because: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    pinned: bool
    points: int
    promise_due: date | None
    promise_kind: str | None
    priority: dict[str, Any]
    wish: str | None
    due_on: date | None
    days_beyond: int
    aged_from: date
    pauses: tuple[tuple[date, date], ...]
    contact_again_on: date | None
    flags_cleared_at: datetime | None
    opened_at: datetime
    language: str | None
    interpreter_needed: bool
    grades: tuple[str, ...]
    names: tuple[str, ...] = field(default=(), repr=False)
    children: tuple[UUID, ...] = ()
    """Whose names are among them."""

    @property
    def reference(self) -> str:
        """Give the digits by which people name the request to each other."""
        return self.request_id.hex[-6:]

    @property
    def order(self) -> str:
        """Give a text that sorts as the queue does: what was promised, the most points, the longest wait."""
        since = f"{microseconds(self.opened_at):020d}"
        return f"{int(not self.pinned)}.{2**31 - self.points:010d}.{since}.{self.request_id.hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many requests each tab holds under the view's filters."""

    by_stage: dict[str, int]
    closed: int

    @property
    def open(self) -> int:
        """Count everything not closed."""
        return sum(self.by_stage.values())


_ROW = """
    r.request_id, r.household_key, r.version, r.district, r.school, r.stage, r.closed_because, r.claimed_by,
    r.claimed_until, r.pinned, r.points, r.promise_due, r.promise_kind, r.priority, r.wish, r.due_on, r.days_beyond,
    r.aged_from, r.waiting_on_family, r.contact_again_on, r.flags_cleared_at, r.opened_at, c.language,
    coalesce(c.interpreter_needed, false) AS interpreter_needed,
    ARRAY (SELECT s.grade FROM flagged_student AS s
           WHERE s.household_key = r.household_key AND s.level <> 'none' ORDER BY s.student_key) AS grades
"""


def _row(record: asyncpg.Record) -> Queued:
    values = dict(record)
    values["priority"] = json.loads(values["priority"] or "{}")
    values["pauses"] = tuple(
        (pause.lower, pause.upper) for pause in values.pop("waiting_on_family") if pause.lower and pause.upper
    )
    values["grades"] = tuple(grade for grade in values["grades"] if grade)
    return Queued(**values)


class _Conditions:
    """WHERE, one condition at a time. What isn't asked for isn't in the statement: the planner sees what it is."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition; `{}` stands for each bound value in turn."""
        numbers = []
        for value in values:
            self.values.append(value)
            numbers.append(f"${len(self.values)}")
        self._conditions.append(condition.format(*numbers))

    def __str__(self) -> str:
        return " AND ".join(self._conditions) or "true"


def _of_districts(conditions: _Conditions, districts: Sequence[str] | None) -> None:
    # One district by far the most often: equality keeps the index's order, ANY would sort.
    if districts is not None and len(districts) == 1:
        conditions.add("r.district = {}", districts[0])
    elif districts is not None:
        conditions.add("r.district = ANY ({}::text[])", list(districts))


def _of_view(view: View, *, today: date, as_of: datetime) -> _Conditions:
    conditions = _Conditions()
    _of_districts(conditions, view.districts)
    if view.school is not None:
        conditions.add("r.school = {}", view.school)
    if view.grade_band is not None:
        # Said as a set and not as EXISTS per row: read once from its index, whatever the queue's length.
        conditions.add(
            "r.household_key IN (SELECT s.household_key FROM flagged_student AS s WHERE s.level <> 'none'"
            " AND s.grade = ANY ({}::text[]) AND ({}::text[] IS NULL OR s.district = ANY ({}::text[])))",
            list(GRADES_BY_BAND[view.grade_band]),
            view.districts,
            view.districts,
        )
    if view.language is not None or view.interpreter:
        conditions.add(
            "r.household_key IN (SELECT c.household_key FROM household_contact AS c"
            " WHERE ({}::text[] IS NULL OR c.district = ANY ({}::text[]))"
            " AND ({}::text IS NULL OR c.language = {}) AND (c.interpreter_needed OR NOT {}))",
            view.districts,
            view.districts,
            view.language,
            view.language,
            view.interpreter,
        )
    if view.owner == NOBODY:
        conditions.add("(r.claimed_until IS NULL OR r.claimed_until <= {})", as_of)
    elif view.owner is not None:
        conditions.add("r.claimed_by = {}", view.owner)
    if view.age is not None:
        paused = "coalesce(r.contact_again_on > {}, false)"
        condition = {
            "paused": paused,
            "overdue": f"r.due_on < {{}} AND NOT {paused}",
            "today": f"r.due_on = {{}} AND NOT {paused}",
            "within": f"coalesce(r.due_on > {{}}, true) AND NOT {paused}",
        }[view.age]
        conditions.add(condition, *[today] * condition.count("{}"))
    if view.promise:
        conditions.add("r.pinned")
    return conditions


async def count_by_stage(connection: Connection, view: View, *, today: date, as_of: datetime) -> Counts:
    """Count what each tab holds; closed ones no further than people care."""
    conditions = _of_view(view, today=today, as_of=as_of)
    rows = await connection.fetch(
        f"SELECT r.stage, count(*) AS requests FROM request AS r WHERE r.stage <> 'closed' AND {conditions}"
        " GROUP BY r.stage",
        *conditions.values,
    )
    closed = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM request AS r WHERE r.stage = 'closed' AND {conditions}"
        f" LIMIT {MOST_CLOSED_COUNTED}) AS few",
        *conditions.values,
    )
    return Counts(by_stage={row["stage"]: row["requests"] for row in rows}, closed=closed)


async def read_queue(
    connection: Connection,
    view: View,
    *,
    today: date,
    as_of: datetime,
    after: Cursor | None = None,
    only: Collection[UUID] | None = None,
    limit: int = PAGE_ROWS,
) -> list[Queued]:
    """Read one page of the queue, or those of some requests that are in the view."""
    conditions = _of_view(view, today=today, as_of=as_of)
    if view.stage is None:
        conditions.add("r.stage <> 'closed'")
    else:
        conditions.add("r.stage = {}", view.stage)
    if only is not None:
        conditions.add("r.request_id = ANY ({}::uuid[])", list(only))
    if after is not None:
        # The order is two ways down and one way up, so the row comparison is spelled out.
        conditions.add(
            "r.pinned <= {0} AND (r.pinned < {0} OR r.points < {1}"
            " OR (r.points = {1} AND (r.opened_at, r.request_id) > ({2}, {3})))",
            after.pinned,
            after.points,
            after.opened_at,
            after.request_id,
        )
    rows = await connection.fetch(
        f"""
        SELECT {_ROW}
        FROM request AS r LEFT JOIN household_contact AS c USING (household_key)
        WHERE {conditions}
        ORDER BY r.pinned DESC, r.points DESC, r.opened_at, r.request_id
        LIMIT {limit:d}
        """,
        *conditions.values,
    )
    return [_row(row) for row in rows]


async def read_row(connection: Connection, *, request_id: UUID, districts: Sequence[str] | None) -> Queued | None:
    """Read one request as a line of the queue, whatever its stage."""
    conditions = _Conditions()
    conditions.add("r.request_id = {}", request_id)
    _of_districts(conditions, districts)
    record = await connection.fetchrow(
        f"SELECT {_ROW} FROM request AS r LEFT JOIN household_contact AS c USING (household_key) WHERE {conditions}",
        *conditions.values,
    )
    return _row(record) if record else None


async def find_families(connection: Connection, *, words: str, districts: Sequence[str] | None) -> list[Queued]:
    """Find requests by a family's name however it is spelled, its phone number or the reference.

    Each household has its newest request in the answer. Whoever shows the names records it. It is asked for people:
    of the scopes that the transaction names, and finds nobody where it names none.
    """
    digits = "".join(letter for letter in words if letter.isdigit())
    shown = None if districts is None else list(districts)
    if len(words) == 6 and all(letter in "0123456789abcdef" for letter in words.lower()):
        return await _requests_of(connection, _OF_REFERENCE, words, shown)
    if len(digits) >= 4 and not any(letter.isalpha() for letter in words):
        return await _requests_of(connection, _OF_DIGITS, digits, shown)
    found: list[Queued] = []
    # As it is spelled first: only where hardly anybody is called so is it worth looking for those called alike.
    for likeness in (0.75, 0.42):
        await connection.execute(f"SET LOCAL pg_trgm.word_similarity_threshold = {likeness}")
        found = await _requests_of(connection, _OF_NAMES, words, shown)
        if len(found) >= ENOUGH_FOUND:
            break
    return found


# Functions of the schema: what a reader's rule bounds can use no index of trigrams (migrations/0090).
_OF_REFERENCE = "SELECT household_key, nearness FROM households_of_reference($1)"
_OF_DIGITS = "SELECT household_key, nearness FROM households_of_digits($1)"
_OF_NAMES = f"SELECT household_key, nearness FROM households_called($1, {MOST_NEAR})"


async def _requests_of(connection: Connection, near: str, sought: str, districts: list[str] | None) -> list[Queued]:
    records = await connection.fetch(
        f"""
        WITH near AS (
            {near}
        ), found AS (
            SELECT DISTINCT ON (r.household_key) r.request_id, nearness
            FROM near JOIN request AS r USING (household_key)
            WHERE $2::text[] IS NULL OR r.district = ANY ($2)
            ORDER BY r.household_key, r.stage = 'closed', r.opened_at DESC
        ), best AS (
            SELECT request_id, nearness FROM found ORDER BY nearness DESC, request_id LIMIT {MOST_FOUND}
        )
        SELECT {_ROW},
            array_remove(c.contact_name || ARRAY (
                SELECT concat_ws(' ', child->>'given_name', child->>'family_name')
                FROM jsonb_array_elements(c.students) AS child), NULL) AS names,
            ARRAY (SELECT (child->>'student_key')::uuid FROM jsonb_array_elements(c.students) AS child) AS children
        FROM best JOIN request AS r USING (request_id) LEFT JOIN household_contact AS c USING (household_key)
        ORDER BY nearness DESC, request_id
        """,
        sought,
        districts,
    )
    return [_row(record) for record in records]


async def schools_of(connection: Connection, districts: Sequence[str] | None) -> list[str]:
    """List the schools to filter by."""
    rows = await connection.fetch(
        "SELECT DISTINCT school FROM school_calendar WHERE $1::text[] IS NULL OR district = ANY ($1) ORDER BY school",
        None if districts is None else list(districts),
    )
    return [row["school"] for row in rows]


async def languages_of(connection: Connection, districts: Sequence[str]) -> list[str]:
    """List the languages that families speak, from the index, one step per language."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT language FROM unnest($1::text[]) AS wanted (district), LATERAL (
            WITH RECURSIVE spoken AS (
                (SELECT language FROM household_contact WHERE district = wanted.district
                 ORDER BY language LIMIT 1)
                UNION ALL
                SELECT (SELECT language FROM household_contact
                        WHERE district = wanted.district AND language > spoken.language
                        ORDER BY language LIMIT 1)
                FROM spoken WHERE spoken.language IS NOT NULL
            )
            SELECT language FROM spoken WHERE language IS NOT NULL
        ) AS every ORDER BY language
        """,
        list(districts),
    )
    return [row["language"] for row in rows]


async def students_of(connection: Connection, household_key: UUID) -> list[dict[str, Any]]:
    """Read a household's students with the days behind their flags and their school's days of that year."""
    rows = await connection.fetch(
        """
        SELECT s.student_key, s.school, s.grade, s.level, s.days_absent, s.days_enrolled, s.as_of, s.absent_days,
               s.corrected_days, coalesce(c.school_days, '{}') AS school_days
        FROM flagged_student AS s
        LEFT JOIN school_calendar AS c USING (district, school, school_year)
        WHERE s.household_key = $1 ORDER BY s.level = 'none', s.student_key
        """,
        household_key,
    )
    return [dict(row) for row in rows]


async def version_of(connection: Connection, *, request_id: UUID, districts: Sequence[str] | None) -> int | None:
    """Read at which version a request stands."""
    version: int | None = await connection.fetchval(
        "SELECT version FROM request WHERE request_id = $1 AND ($2::text[] IS NULL OR district = ANY ($2))",
        request_id,
        None if districts is None else list(districts),
    )
    return version
