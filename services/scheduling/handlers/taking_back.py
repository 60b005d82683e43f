"""What the desk told and its restored tables do not know, taken back: decisions, visitors, requests, visits, promises.

A database put back to an earlier day reads flags and logs again from where it stood then. What people did since is on
no topic but the desk's own. So that is read first; then the flags of meanwhile are kept all at once, by their newest
word, and requests are opened or withdrawn by how families stand in the end: a flag that came and went in between was
dealt with, and is on the topic as a request that was.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.delivery import positions
from services.runtime.delivery.own_words import OwnWords, Topics, events_of
from services.runtime.delivery.transaction import Transaction
from services.scheduling.handlers import arrivals, school_years
from services.scheduling.handlers.changes import HOME_VISITS
from services.scheduling.handlers.districts import STATUSES
from services.scheduling.handlers.policies import POLICIES
from services.scheduling.handlers.pricing import price
from services.scheduling.handlers.visitors import VISITORS
from services.scheduling.rules import told
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.told import Taken, Told
from services.scheduling.rules.visits import QUEUED
from services.scheduling.store import batches, policies, taking_back

GROUP = "leap-scheduling"
FLAGS, LOGS = ("flags", "absence-flags"), ("visit-log",)
AT_ONCE = 1_000

Decision = events.DistrictPolicyDecided | events.DistrictStatusChanged
_OWN: TypeAdapter[Any] = TypeAdapter(
    Annotated[Told | events.VisitorChanged | Decision, Field(discriminator="event_type")]
)
_PROMISED: TypeAdapter[Any] = TypeAdapter(events.FollowUpPromised)
_CROSSINGS = (b"absence-flag.raised.", b"absence-flag.changed.", b"absence-flag.cleared.")


@dataclass(slots=True)
class _Heard:
    """What the own topics tell that the tables do not know; and when the last thing was told at all."""

    of_request: defaultdict[UUID, list[Told]] = field(default_factory=lambda: defaultdict(list))
    visitors: dict[str, events.VisitorChanged] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    last_told: datetime | None = None

    def take(self, event: Any) -> None:
        """Keep one event that is news."""
        if isinstance(event, events.VisitorChanged):
            known = self.visitors.get(event.visitor_id)
            if known is None or event.version > known.version:
                self.visitors[event.visitor_id] = event
        elif isinstance(event, Decision):
            self.decisions.append(event)
        else:
            self.of_request[event.request_id].append(event)


async def unknown(connection: asyncpg.Connection, records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
    """Give the records that tell something newer than the tables know; what can't be read tells nothing."""
    read = events_of(_OWN, records)
    requests = {event.request_id for _, event in read if isinstance(event, Told)}
    visitors = {event.visitor_id for _, event in read if isinstance(event, events.VisitorChanged)}
    at_version = await taking_back.versions(connection, requests)
    of_visitor = await taking_back.visitor_versions(connection, visitors)
    decided = await taking_back.decided(connection)

    def is_known(event: Any) -> bool:
        if isinstance(event, events.VisitorChanged):
            return bool(of_visitor.get(event.visitor_id, 0) >= event.version)
        if isinstance(event, Decision):
            return (_kind(event), event.district, event.version) in decided
        return bool(at_version.get(event.request_id, 0) >= event.version)

    return [record for record, event in read if not is_known(event)]


def _kind(event: Decision) -> str:
    return "policy" if isinstance(event, events.DistrictPolicyDecided) else "status"


async def take_back(tx: Transaction, topics: Topics) -> dict[str, int]:
    """Take back what was told, then let requests follow from how flags stand by now. Counts what was not known."""
    as_of = clock.now()
    heard = await _hear(tx, topics)
    decided = [each for each in heard.decisions if isinstance(each, events.DistrictPolicyDecided)]
    declared = [each for each in heard.decisions if isinstance(each, events.DistrictStatusChanged)]
    await taking_back.keep_policies(tx.connection, decided)
    await taking_back.keep_statuses(tx.connection, declared)
    await taking_back.keep_visitors(tx.connection, heard.visitors.values())
    taken = await _take_requests(tx, heard)

    since = await _flags_since(tx, topics)
    settled = await _settle_promises(tx, topics, taken, heard.last_told)
    flags = await _keep_flags(tx, since.newest.values())
    households = {each.request.household_key for each in taken} | flags
    await _follow_the_flags(tx, sorted(households), since, as_of)
    return {
        "requests": len(taken),
        "visits": sum(len(each.visits) for each in taken),
        "visitors": len(heard.visitors),
        "decisions of districts": len(heard.decisions),
        "flags that came meanwhile": len(since.newest),
        "promises dealt with already": settled,
    }


async def _hear(tx: Transaction, topics: Topics) -> _Heard:
    heard = _Heard()
    seen: set[UUID] = set()
    async for records in topics.read(OWN.topics):
        read = events_of(_OWN, records)
        if read:
            last = max(event.occurred_at for _, event in read)
            heard.last_told = max(last, heard.last_told or last)
        for _, event in events_of(_OWN, await unknown(tx.connection, [record for record, _ in read])):
            if event.event_id not in seen:  # the relay tells at least once
                seen.add(event.event_id)
                heard.take(event)
    return heard


async def _take_requests(tx: Transaction, heard: _Heard) -> list[Taken]:
    known = await taking_back.standing(tx.connection, heard.of_request.keys())
    taken = []
    for request_id, happened in heard.of_request.items():
        standing, ahead = known.get(request_id, (None, None))
        in_order = sorted(happened, key=lambda each: each.version)  # what one version told stays in its order
        taken.append(told.fold(in_order, standing=standing, ahead=ahead, zone=tx.zone))
    policy_on = _Policies(tx)
    for each in taken:
        await _dates_that_follow(each, policy_on)

    await taking_back.keep_requests(tx.connection, [each.request for each in taken])
    await taking_back.keep_history(tx.connection, taken)
    travel_minutes = {
        visit_id: (await policy_on(each.request.district, visit.agreed.occurred_at)).travel_minutes
        for each in taken
        for visit_id, visit in each.visits.items()
        if visit.agreed is not None
    }
    await taking_back.keep_visits(tx.connection, taken, travel_minutes=travel_minutes)
    return taken


class _Policies:
    """The policy that was in force in a district at some moment."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._known: dict[tuple[str, date], Policy] = {}

    async def __call__(self, district: str, moment: datetime) -> Policy:
        key = district, local_day(moment, zone=self._tx.zone)
        if key not in self._known:
            self._known[key] = await policies.current(self._tx.connection, district, day=key[1])
        return self._known[key]

    def day(self, moment: datetime) -> date:
        """Name the local day of a moment."""
        return local_day(moment, zone=self._tx.zone)


async def _dates_that_follow(taken: Taken, policy_on: _Policies) -> None:
    """Work out anew what a logged or declined request promises by its day: it was not told."""
    district = taken.request.district
    if taken.logged_at is not None:
        days = (await policy_on(district, taken.logged_at)).follow_up_days
        taken.change(follow_up_on=policy_on.day(taken.logged_at) + timedelta(days=days))
    if taken.declined_at is not None:
        days = (await policy_on(district, taken.declined_at)).decline_days
        taken.change(respected_until=policy_on.day(taken.declined_at) + timedelta(days=days))


@dataclass(slots=True)
class _Since:
    """The crossings since the tables' own positions: each student's newest, and all of them in their order."""

    newest: dict[UUID, school_years.Flag] = field(default_factory=dict)
    crossed: defaultdict[UUID, list[school_years.Flag]] = field(default_factory=lambda: defaultdict(list))

    def take(self, flag: school_years.Flag) -> None:
        """Keep one crossing."""
        known = self.newest.get(flag.student_key)
        if known is None or (flag.school_year, flag.version) > (known.school_year, known.version):
            self.newest[flag.student_key] = flag
        self.crossed[flag.student_key].append(flag)

    def raised_since(self, student: UUID, moment: datetime) -> bool:
        """Tell whether a student who is flagged was not yet at that moment.

        One that was cleared and raised again since is none: so the desk sees it too where both come in one batch.
        """
        crossed = sorted(self.crossed.get(student, ()), key=lambda flag: (flag.school_year, flag.version))
        before = [flag.level for flag in crossed if flag.occurred_at <= moment]
        after = [flag.previous_level for flag in crossed if flag.occurred_at > moment]
        return bool(after) and [*before[-1:], *after[:1]][0] is events.Level.NONE


async def _flags_since(tx: Transaction, topics: Topics) -> _Since:
    since = _Since()
    async for records in topics.read(FLAGS, since=await positions.stored(tx.connection, GROUP)):
        for record in records:
            if _type_of(record).startswith(_CROSSINGS):
                since.take(arrivals.decode(record))
    return since


async def _settle_promises(tx: Transaction, topics: Topics, taken: Iterable[Taken], last_told: datetime | None) -> int:
    """Keep the promises of meanwhile, and say which of all that wait had their day before the tables were lost.

    Those of the very last day wait on unless the desk said that it went back to the family: to be called twice is
    better than not to be called.
    """
    since = await positions.stored(tx.connection, GROUP)
    async for records in topics.read(LOGS, since=since):
        promised = [_PROMISED.validate_json(r.value) for r in records if _type_of(r) == b"follow-up.promised.v1"]
        await arrivals.keep_promises(tx, promised)
    if last_told is None:
        return 0
    last_day = local_day(last_told, zone=tx.zone)
    by_household: defaultdict[UUID, list[Taken]] = defaultdict(list)
    for each in taken:
        by_household[each.request.household_key].append(each)

    settled, pinned = [], []
    for promise in await taking_back.waiting_promises(tx.connection):
        due = promise["due"]
        returned = [
            each
            for each in by_household[promise["household_key"]]
            if any(local_day(at, zone=tx.zone) >= due for at in each.returned_at)
        ]
        if due < last_day or (due == last_day and returned):
            settled.append((promise["log_id"], promise["kind"], due, "opened" if returned else "kept"))
        pinned += [
            replace(each.request, pinned=True, promise_due=due)
            for each in returned
            if each.request.stage in QUEUED and each.request.contacted_at is None
        ]
    await taking_back.settle_promises(tx.connection, settled)
    await taking_back.pin(tx.connection, pinned)
    return len(settled)


def _type_of(record: ConsumerRecord) -> bytes:
    return next((value or b"" for name, value in record.headers if name == "ce_type"), b"")


async def _keep_flags(tx: Transaction, flags: Iterable[school_years.Flag]) -> set[UUID]:
    """Keep flags by their newest word, and name the households that they concern."""
    households: set[UUID] = set()
    all_flags = list(flags)
    learned = await school_years.learn(tx, all_flags)
    for start in range(0, len(all_flags), AT_ONCE):
        rows = [arrivals.flag_row(flag, learned) for flag in all_flags[start : start + AT_ONCE]]
        for changed in await batches.keep_newest_flags(tx.connection, rows):
            households |= {changed["household_key"], changed["former_household_key"] or changed["household_key"]}
    return households | set(learned.ended)


async def _follow_the_flags(tx: Transaction, households: Sequence[UUID], since: _Since, as_of: datetime) -> None:
    """Open requests for flagged families that have none and are owed one; withdraw those behind which no flag stands.

    None is owed where people closed the last one with the same children flagged.
    """
    for start in range(0, len(households), AT_ONCE):
        some = households[start : start + AT_ONCE]
        await batches.lock_open_requests(tx.connection, households=some, students=())
        rows = await taking_back.flagged_without_request(tx.connection, some)
        owed = [
            row
            for row in rows
            if row["closed_because"] in (None, "no_longer_flagged", "year_over")
            or since.raised_since(row["student_key"], row["closed_at"])
        ]
        if owed:
            await arrivals.open_or_join(tx, owed, as_of)
        await arrivals.withdraw_or_annotate(tx, some, as_of)
        await price(tx, await batches.open_request_ids(tx.connection, some), as_of=as_of)


OWN = OwnWords(topics=(HOME_VISITS, VISITORS, POLICIES, STATUSES), unknown=unknown, take_back=take_back)
