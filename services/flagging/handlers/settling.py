"""What no fact brings: a new day closes months; a policy, a feed, a carried-over school is looked at as a whole."""

from datetime import date

from contracts.calendar import local_day
from services.flagging.handlers import enrolling
from services.flagging.handlers.concluding import conclude
from services.flagging.handlers.work import Work
from services.flagging.rules.register import School
from services.flagging.store import declared, policies, transfers
from services.flagging.store.registers import Registers, schools_due
from services.runtime import clock
from services.runtime.service import Context

SCHOOLS_AT_A_TIME = 8
"""Whose months close together: facts of their districts wait for no more than that. Where schools were carried over,
each brings its whole year of rolls."""

STUDENTS_AT_A_TIME = 500


async def settle(context: Context) -> None:
    """Look at every school year that is due, a few schools a transaction: once a day, and where something changed."""
    today = local_day(clock.now(), zone=context.settings.zone)
    more = True
    while more:
        async with context.begin() as transaction:
            connection = transaction.connection
            keys = await schools_due(connection, today, limit=SCHOOLS_AT_A_TIME)
            more = len(keys) == SCHOOLS_AT_A_TIME
            if not keys:
                continue
            registers = Registers(connection)
            await registers.lock({key.district for key in keys}, newest_us=0)
            work = Work(transaction, registers, await policies.read(connection, {key.district for key in keys}))
            await _look_at(work, await registers.open_schools(keys), today)


async def judge_due(context: Context) -> None:
    """Judge whoever is concerned by what another district told, a few students a transaction."""
    more = True
    while more:
        async with context.begin() as transaction:
            connection = transaction.connection
            students = await transfers.due(connection, limit=STUDENTS_AT_A_TIME)
            more = len(students) == STUDENTS_AT_A_TIME
            if not students:
                continue
            registers = Registers(connection)
            districts = {district for _, _, district in students}
            await registers.lock(districts, newest_us=0)
            await transfers.take_due(connection, [(student, year) for student, year, _ in students])
            registers.to_judge |= {(student.bytes, year) for student, year, _ in students}
            await conclude(Work(transaction, registers, await policies.read(connection, districts)))


async def _look_at(work: Work, schools: list[School], today: date) -> None:
    registers = work.registers
    await enrolling.make_pages(registers, schools)
    said = await declared.read(registers.connection, schools)
    moved = [
        school
        for school in schools
        if school.waits_for(today)
        or (school.declared, school.enrols) != said[school][:2]
        or said[school].closes_by_rule
        or school.decisions != work.decisions.count(school.key.district)
    ]
    await registers.open_whole(moved)
    for school in moved:
        school.remember_all()
        school.come_to(today)
        school.declare(said[school].feed, enrols=said[school].enrols)
        school.close_by_rule(today if said[school].closes_by_rule else None)
    for school in schools:
        school.come_to(today)
        school.checked_on, school.is_changed = today, True
    await conclude(work, today=today)
