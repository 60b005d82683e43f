"""A batch of facts, applied to the registers of the schools it is about, and what follows from it.

In this order, whatever the order of the facts: the batch commits whole. What districts decided; lanes are locked;
enrolments; the pages that are needed come into the hand; calendars and completed rolls change schools; then enrolled
days and marks change students; then conclude() judges and tells.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord

from contracts.calendar import first_day_of, school_year_of
from services.flagging import facts, telling
from services.flagging.handlers import enrolling, joining, marking, places
from services.flagging.handlers.concluding import conclude
from services.flagging.handlers.marking import Day, DayMarks, Effects
from services.flagging.handlers.work import Work
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.rolls import Completion
from services.flagging.store import counts, declared, policies, rosters, transfers
from services.flagging.store.registers import Registers
from services.flagging.store.rosters import Touched
from services.runtime.delivery.subscription import Delivery, Undecodable
from services.runtime.delivery.transaction import Transaction

WHOLE_FROM = 16
"""A school of which so many students have marks in a batch is read whole: that is one look-up less for each."""


def decode(record: ConsumerRecord) -> facts.Fact:
    """Read one record; Undecodable says which rule it broke, never what stood in it."""
    if record.value is None:
        raise Undecodable("empty", "a fact has a value")
    try:
        return facts.parse(record.value)
    except facts.FactRefused as refusal:
        raise Undecodable("not_a_fact", str(refusal)) from None


class Facts:
    """A batch's facts by kind."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        by_type: defaultdict[type, list[Any]] = defaultdict(list)
        for delivery in deliveries:
            by_type[type(delivery.event)].append(delivery.event)
        rolls: list[facts.Roll] = by_type[facts.Roll]
        self.days: dict[Day, DayMarks] = marking.by_day(
            rolls, (*by_type[facts.AttendanceRecorded], *by_type[facts.AttendanceRetracted])
        )
        self.enrollments: list[facts.EnrollmentChanged] = by_type[facts.EnrollmentChanged]
        self.calendars: list[facts.SchoolCalendarChanged] = by_type[facts.SchoolCalendarChanged]
        self.feeds: list[facts.FeedDeclared] = by_type[facts.FeedDeclared]
        self.policies: list[facts.PolicyDecided] = by_type[facts.PolicyDecided]
        self.statuses: list[facts.StatusChanged] = by_type[facts.StatusChanged]
        self.transfers: list[facts.TransferConfirmed] = by_type[facts.TransferConfirmed]
        self.completions: list[tuple[Day, Completion]] = [
            *(
                (_day(each), _word(each.completed.version, True, each.completed.feed))
                for each in rolls
                if each.completed
            ),
            # Of before: completions carried no version, and any that does comes after them.
            *((_day(each), _word(0, True, each.feed)) for each in by_type[facts.RollCompleted]),
            *((_day(each), _word(each.version, False, each.feed)) for each in by_type[facts.RollReopened]),
        ]

    def districts(self) -> set[str]:
        """Name every district that a fact is of."""
        days = (*self.days, *(day for day, _ in self.completions))
        others: tuple[Any, ...] = (
            *self.enrollments, *self.calendars, *self.feeds, *self.policies, *self.statuses, *self.transfers,
        )  # fmt: skip
        return {day[0] for day in days} | {each.district for each in others}

    def changed_schools(self) -> set[SchoolYear]:
        """Name the school years whose calendar or rolls change: everybody there is concerned."""
        return {_year(day) for day, _ in self.completions} | {_year_of_calendar(each) for each in self.calendars}


def _day(fact: facts.Roll | facts.RollCompleted | facts.RollReopened) -> Day:
    return fact.district, fact.school, fact.school_day


def _word(version: int, is_complete: bool, feed: str) -> Completion:
    return Completion(version, is_complete, feed == "full")


def _year(day: Day) -> SchoolYear:
    return SchoolYear(day[0], day[1], school_year_of(day[2]))


def _year_of_calendar(calendar: facts.SchoolCalendarChanged) -> SchoolYear:
    return SchoolYear(calendar.district, calendar.school, calendar.school_year)


async def on_facts(transaction: Transaction, deliveries: list[Delivery]) -> None:
    """Apply a whole batch."""
    batch = Facts(deliveries)
    connection = transaction.connection
    registers = Registers(connection)
    districts = batch.districts()
    await registers.lock(districts, newest_us=1000 * max(each.record.timestamp for each in deliveries))
    await _keep_decisions(registers, batch)
    touched = (
        await rosters.apply_enrollments(connection, batch.enrollments) if batch.enrollments else Touched({}, set())
    )
    await _open(registers, batch, touched)
    for school in _change_schools(registers, batch):
        if students := school.on_several_tracks():
            touched.students.setdefault(school.key, set()).update(UUID(bytes=student) for student in students)
    if touched.students:
        await enrolling.enrol(registers, touched)
    await places.note(connection, batch.days)
    effects = await marking.apply_marks(registers, batch.days) if batch.days else Effects()
    if registers.arrived:
        await joining.settle_newcomers(registers)
    work = Work(transaction, registers, await policies.read(connection, districts))
    await _tell_effects(work, effects)
    await conclude(work)


async def _keep_decisions(registers: Registers, batch: Facts) -> None:
    connection = registers.connection
    if batch.policies:
        await policies.keep(connection, batch.policies)
        await declared.look_again(connection, {each.district for each in batch.policies})
    if batch.statuses:
        await policies.keep_statuses(connection, batch.statuses)
    if batch.transfers:
        await transfers.keep(connection, batch.transfers)
    if batch.feeds:
        await declared.keep(connection, batch.feeds)


async def _open(registers: Registers, batch: Facts, touched: Touched) -> None:
    """Take into the hand what the batch needs: schools that change as a whole, else the pages of its students."""
    marked: defaultdict[SchoolYear, set[bytes]] = defaultdict(set)
    for day, marks in batch.days.items():
        marked[_year(day)].update(marks.students)
    wanted: defaultdict[SchoolYear, set[bytes]] = defaultdict(set, marked)
    for key, students in touched.students.items():
        wanted[key] |= {student.bytes for student in students}
    changed = batch.changed_schools()
    await registers.open_schools(sorted({*wanted, *changed}))
    await enrolling.make_pages(registers, list(registers.schools.values()))
    whole = {key for key, students in wanted.items() if len(students) >= WHOLE_FROM} | changed
    await registers.open_whole([registers.schools[key] for key in sorted(whole)])
    await registers.open_students({key: students for key, students in wanted.items() if key not in whole})


def _change_schools(registers: Registers, batch: Facts) -> list[School]:
    """Let newer calendars and words on rolls stand, and give the schools that this may have changed."""
    changed = [registers.schools[key] for key in sorted(batch.changed_schools())]
    for school in changed:
        school.remember_all()
    for calendar in batch.calendars:
        school = registers.schools[_year_of_calendar(calendar)]
        school.set_calendar(
            version=calendar.source_version, feed=calendar.feed, days=_days(calendar), track=calendar.track
        )
    for day, word in batch.completions:
        registers.schools[_year(day)].complete(day[2], word)
    for school in changed:
        school.follow_facts()
    return changed


def _days(calendar: facts.SchoolCalendarChanged) -> int:
    first = first_day_of(calendar.school_year)
    # A day outside the school year is no day of it.
    places = {(day - first).days for day in calendar.school_days if school_year_of(day) == calendar.school_year}
    return sum(1 << place for place in places)


async def _tell_effects(work: Work, effects: Effects) -> None:
    """Count marks by what they changed, and tell uploads of their rows."""
    await counts.add(work.transaction.connection, landed=effects.landed, applied=effects.applied)
    for (district, receipt), rows in effects.landed_rows.items():
        accepted = effects.accepted_rows[district, receipt]
        told = telling.receipt(work.moment(district), receipt, accepted=accepted, duplicate=rows - accepted)
        work.transaction.emit(topic=telling.RECEIPTS, key=str(receipt), event=told)
