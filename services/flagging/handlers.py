"""A batch of attendance, enrolments and calendars becomes days, and days become flags."""

from collections import defaultdict

from aiokafka import ConsumerRecord

from contracts.calendar import local_day, school_year_of
from services.flagging import facts
from services.flagging.store import tallies, writes
from services.flagging.store.writes import SchoolYear
from services.runtime import clock
from services.runtime.delivery.subscription import Delivery, Undecodable
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context

STUDENTS_AT_A_TIME = 2_000

_MARKS = (facts.AttendanceRecorded, facts.AttendanceRetracted)


def decode(record: ConsumerRecord) -> facts.Fact:
    """Read one record; Undecodable says which rule it broke, never what stood in it."""
    if record.value is None:
        raise Undecodable("empty", "a fact has a value")
    try:
        return facts.parse(record.value)
    except facts.FactRefused as refusal:
        raise Undecodable("not_a_fact", str(refusal)) from None


async def on_facts(transaction: Transaction, deliveries: list[Delivery]) -> None:
    """Apply a whole batch. It commits whole, so the order inside it doesn't matter; judging comes last."""
    connection = transaction.connection
    by_type: defaultdict[type, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_type[type(delivery.event)].append(delivery)
    marks = [each.event for kind in _MARKS for each in by_type[kind]]
    enrollments = [each.event for each in by_type[facts.EnrollmentChanged]]
    # Punctuations belong to the partition they came by: this worker owns its students, and nobody else's.
    rolls = [(each.record.partition, each.event) for each in by_type[facts.RollCompleted]]
    calendars = [(each.record.partition, each.event) for each in by_type[facts.SchoolCalendarChanged]]

    schools = await writes.apply_calendars(connection, calendars) if calendars else []
    if rolls:
        schools += await writes.record_rolls(connection, rolls)
    students = await writes.apply_enrollments(connection, enrollments) if enrollments else []
    candidates = await writes.rebuild(connection, students, schools) if students or schools else []
    candidates += await writes.sharing(connection, students)
    if rolls:
        candidates += await writes.apply_rolls(connection, rolls)
        schools += [SchoolYear(lane, r.district, r.school, school_year_of(r.school_day)) for lane, r in rolls]
    await tallies.close_complete_months(connection, schools)
    if marks:
        candidates += await writes.apply_marks(connection, marks, lane=deliveries[0].record.partition)

    newest_ms = max(each.record.timestamp for each in deliveries)
    await writes.judge(connection, candidates, told_at_us=1000 * newest_ms)


async def judge_due(context: Context) -> None:
    """Judge again whoever a changed rule concerns, a bite a transaction."""
    more = True
    while more:
        async with context.begin() as transaction:
            candidates = await writes.take_judge_due(transaction.connection, STUDENTS_AT_A_TIME)
            await writes.judge(transaction.connection, candidates)
            more = len(candidates) == STUDENTS_AT_A_TIME


async def close_months(context: Context) -> None:
    """Close the months that waited long enough for a roll, a bite a transaction."""
    today = local_day(clock.now(), zone=context.settings.zone)
    more = True
    while more:
        async with context.begin() as transaction:
            more = await tallies.close_late_months(transaction.connection, today=today)


async def publish_tallies(context: Context) -> None:
    """Publish every school day and student month that closed or was corrected, a bite a transaction."""
    more = True
    while more:
        async with context.begin() as transaction:
            more = await tallies.publish_due(transaction.connection)
