"""A batch of facts, applied to the registers of the schools it is about, and what follows from it.

In this order, whatever the order of the facts: the batch commits whole. What districts decided; lanes are locked;
enrolments; the pages that are needed come into the hand; calendars and completed rolls change schools; then enrolled
days and marks change students; then conclude() judges and tells.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord

from contracts.calendar import first_day_of, local_day, school_year_of
from services.flagging import facts, telling
from services.flagging.handlers import enrolling, forgetting, joining, marking, places
from services.flagging.handlers.concluding import conclude
from services.flagging.handlers.marking import Day, DayMarks, Effects
from services.flagging.handlers.work import Work
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.rolls import NOWHERE, Completion
from services.flagging.store import counts, declared, policies, rosters, transfers
from services.flagging.store.registers import Registers
from services.flagging.store.rosters import Touched
from services.runtime import clock
from services.runtime.database import uuid_of
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
        self.said_ms: dict[Day, int] = {}
        """When the newest of what schools say here of a day was appended."""
        self.taught_ms: dict[SchoolYear, int] = {}
        """When the newest of their calendars was."""
        offsets: list[int] = []
        for record, event in deliveries:
            by_type[type(event)].append(event)
            if isinstance(event, facts.Roll):
                offsets.append(record.offset)
            if isinstance(event, facts.OfADay):
                day = _day(event)
                self.said_ms[day] = max(record.timestamp, self.said_ms.get(day, 0))
            elif isinstance(event, facts.SchoolCalendarChanged):
                key = _year_of_calendar(event)
                self.taught_ms[key] = max(record.timestamp, self.taught_ms.get(key, 0))
        rolls: list[facts.Roll] = by_type[facts.Roll]
        self.days: dict[Day, DayMarks] = marking.by_day(
            zip(offsets, rolls, strict=True), (*by_type[facts.AttendanceRecorded], *by_type[facts.AttendanceRetracted])
        )
        self.enrollments: list[facts.EnrollmentChanged] = by_type[facts.EnrollmentChanged]
        self.calendars: list[facts.SchoolCalendarChanged] = by_type[facts.SchoolCalendarChanged]
        self.feeds: list[facts.FeedDeclared] = by_type[facts.FeedDeclared]
        self.policies: list[facts.PolicyDecided] = by_type[facts.PolicyDecided]
        self.statuses: list[facts.StatusChanged] = by_type[facts.StatusChanged]
        self.transfers: list[facts.TransferConfirmed] = by_type[facts.TransferConfirmed]
        self.forgetting: list[facts.Forgetting] = [
            *by_type[facts.StudentForgotten], *by_type[facts.StudentKnownAgain], *by_type[facts.DistrictEnded],
        ]  # fmt: skip
        self.completions: list[tuple[Day, Completion]] = [
            *((_day(each), _word(each.completed, is_complete=True)) for each in rolls if each.completed),
            # Of before: completions carried no version, and any that does comes after them.
            *((_day(each), Completion(0, True, each.feed == "full")) for each in by_type[facts.RollCompleted]),
            *((_day(each), _word(each, is_complete=False)) for each in by_type[facts.RollReopened]),
        ]

    def districts(self) -> set[str]:
        """Name every district that a fact is of."""
        others: tuple[Any, ...] = (
            *self.enrollments, *self.calendars, *self.feeds, *self.policies, *self.statuses, *self.transfers,
            *self.forgetting,
        )  # fmt: skip
        return {day[0] for day in self.said_ms} | {each.district for each in others}

    def changed_schools(self) -> set[SchoolYear]:
        """Name the school years whose calendar or rolls change: everybody there is concerned."""
        of_days = {SchoolYear.of_day(*day) for day, _ in self.completions}
        return of_days | {_year_of_calendar(each) for each in self.calendars}

    def days_it_was(self, transaction: Transaction) -> dict[SchoolYear, date]:
        """Say by the broker's time what day it was when a school's newest word was appended, by school year."""
        newest_ms = self.taught_ms.copy()
        for day, said_ms in self.said_ms.items():
            key = SchoolYear.of_day(*day)
            newest_ms[key] = max(said_ms, newest_ms.get(key, 0))
        moved = clock.moved()
        return {
            key: local_day(datetime.fromtimestamp(said_ms / 1000, UTC) + moved, zone=transaction.zone)
            for key, said_ms in newest_ms.items()
        }


def _day(fact: facts.OfADay) -> Day:
    return fact.district, fact.school, fact.school_day


def _word(said: facts.Completion | facts.RollReopened, *, is_complete: bool) -> Completion:
    return Completion(said.version, is_complete, said.feed == "full", NOWHERE if said.landed is None else said.landed)


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
    batch.enrollments = await forgetting.apply(transaction, batch.enrollments, batch.forgetting)
    touched = (
        await rosters.apply_enrollments(connection, batch.enrollments) if batch.enrollments else Touched({}, set())
    )
    today = batch.days_it_was(transaction)
    changed = await _open(registers, batch, touched, today)
    for school in _change_schools(registers, batch, changed, today):
        if students := school.on_several_tracks():
            touched.students.setdefault(school.key, set()).update(uuid_of(student) for student in students)
    if touched.students:
        await enrolling.enrol(registers, touched)
    await places.note(connection, batch.days)
    effects = await marking.apply_marks(registers, batch.days) if batch.days else Effects()
    if registers.arrived:
        await joining.settle_newcomers(registers)
    work = Work(transaction, registers, await policies.read(connection, districts))
    await _tell_effects(work, effects)
    await conclude(work)
    if batch.forgetting:
        await forgetting.sweep(transaction)


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


async def _open(
    registers: Registers, batch: Facts, touched: Touched, today: Mapping[SchoolYear, date]
) -> set[SchoolYear]:
    """Take into the hand what the batch needs: schools that change as a whole, else the pages of its students.

    Names those that change: by what is said of their days, or because a day has come of which marks wait.
    """
    wanted: defaultdict[SchoolYear, set[bytes]] = defaultdict(set)
    for day, marks in batch.days.items():
        wanted[SchoolYear.of_day(*day)].update(marks.students)
    for key, students in touched.students.items():
        wanted[key] |= {student.bytes for student in students}
    changed = batch.changed_schools()
    await registers.open_schools(sorted({*wanted, *changed}))
    await enrolling.make_pages(registers, list(registers.schools.values()))
    changed |= {key for key, day in today.items() if registers.schools[key].waits_for(day)}
    whole = {key for key, students in wanted.items() if len(students) >= WHOLE_FROM} | changed
    await registers.open_whole([registers.schools[key] for key in sorted(whole)])
    await registers.open_students({key: students for key, students in wanted.items() if key not in whole})
    return changed


def _change_schools(
    registers: Registers, batch: Facts, keys: Collection[SchoolYear], today: Mapping[SchoolYear, date]
) -> list[School]:
    """Let days come, and newer calendars and words on rolls stand; give the schools that this may have changed."""
    changed = [registers.schools[key] for key in sorted(keys)]
    for school in changed:
        school.remember_all()
    for key, come in today.items():
        registers.schools[key].come_to(come)
    for calendar in batch.calendars:
        school = registers.schools[_year_of_calendar(calendar)]
        school.set_calendar(
            version=calendar.source_version, feed=calendar.feed, days=_days(calendar), track=calendar.track
        )
    for day, word in batch.completions:
        registers.schools[SchoolYear.of_day(*day)].complete(day[2], word)
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
    of_uploads: defaultdict[tuple[str, UUID], list[telling.Rows]] = defaultdict(list)
    for (district, row), rows in effects.landed_rows.items():
        accepted = effects.accepted_rows[district, row]
        of_uploads[district, row.receipt].append(telling.Rows(row.at, accepted, rows - accepted))
    for (district, receipt), told in of_uploads.items():
        event = telling.receipt(work.moment(district), receipt, told)
        work.transaction.emit(topic=telling.RECEIPTS, key=str(receipt), event=event)
