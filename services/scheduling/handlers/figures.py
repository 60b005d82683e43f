"""Today's figures of a school's flagged students: read as columns, kept as columns, and priced where somebody waits.

Most of what scheduling reads is this, every school day for everybody who was ever flagged in the year. So its one
record is read without an object for each child, and a child costs a few microseconds.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import accumulate
from operator import attrgetter
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord

from contracts import events
from services.runtime.delivery.transaction import Transaction
from services.scheduling.handlers.pricing import price_locked
from services.scheduling.store import figures

_TYPE: Literal["absence-flag.figures-updated.v1"] = "absence-flag.figures-updated.v1"
_Days = Annotated[int, msgspec.Meta(ge=0, le=366)]
_OfTwenty = Annotated[int, msgspec.Meta(ge=0, le=20)]


class _Recent(msgspec.Struct, frozen=True, gc=False):
    last_20_absent: _OfTwenty
    last_20_counted: _OfTwenty
    before_20_absent: _OfTwenty
    before_20_counted: _OfTwenty
    spell: _Days


class Figures(msgspec.Struct, frozen=True, gc=False):
    """What scheduling reads of `events.FlagFiguresUpdated`: its fields, within its bounds."""

    event_type: Literal["absence-flag.figures-updated.v1"]
    school: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    school_year: Annotated[int, msgspec.Meta(ge=2000, le=2200)]
    as_of: date
    students: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=1000)]
    grades: list[events.Grade | None]
    versions: list[int]
    days_absent: list[_Days]
    days_enrolled: list[_Days]
    absent_days: list[list[date]]
    recent: list[_Recent]
    chronic_last_year: list[bool | None]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        if any(len(column) != len(self.students) for column in _PER_STUDENT(self)):
            raise ValueError("every column has as many places as students")


_PER_STUDENT = attrgetter(
    "grades", "versions", "days_absent", "days_enrolled", "absent_days", "recent", "chronic_last_year"
)
_DECODER = msgspec.json.Decoder(Figures)


def are_figures(record: ConsumerRecord) -> bool:
    """Tell figures from all else that comes on the topics of flags."""
    return _TYPE.encode() in (record.value or b"")


def decode_figures(value: bytes) -> Figures | None:
    """Read figures; None where they are not spelled as expected, for whoever reads with more patience."""
    try:
        return None if b"\\u0000" in value else _DECODER.decode(value)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def figures_of(event: events.FlagFiguresUpdated) -> Figures:
    """Give an event that was read otherwise the same form."""
    return msgspec.convert(event.model_dump(mode="json"), Figures)


async def on_figures(tx: Transaction, told: Sequence[Figures], *, as_of: datetime) -> None:
    """Keep the newest figures of each student, and price the open requests whose children's figures differ now."""
    students = [student for each in told for student in each.students]
    request_by_household = await figures.lock_open_requests(tx.connection, students)

    missed = [days for each in told for days in each.absent_days]
    ends = list(accumulate(map(len, missed)))
    recent = [days for each in told for days in each.recent]

    households = await figures.keep_newest_figures(
        tx.connection,
        [(each.school, each.school_year, each.as_of) for each in told],
        [
            [record for record, each in enumerate(told, start=1) for _ in each.students],
            students,
            *([value for each in told for value in column(each)] for column in _COLUMNS),
            *(list(map(column, recent)) for column in _RECENT),
            [0, *ends][: len(ends)],
            ends,
            [day for days in missed for day in days],
        ],
        waiting=list(request_by_household),
    )

    await price_locked(tx, [request_by_household[each] for each in households], as_of=as_of)


_COLUMNS = tuple(map(attrgetter, ("grades", "days_absent", "days_enrolled", "versions", "chronic_last_year")))
_RECENT = tuple(
    map(attrgetter, ("last_20_absent", "last_20_counted", "before_20_absent", "before_20_counted", "spell"))
)
