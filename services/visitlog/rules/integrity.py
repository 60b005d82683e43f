"""Quiet checks for the coordinator: what in the logs deserves a question. They accuse nobody and block nothing."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from uuid import UUID

from services.visitlog.rules.outcomes import TOOK_PLACE

SHORTEST_VISIT = timedelta(minutes=5)
BURST_LOGS = 5
BURST_WITHIN = timedelta(minutes=10)
FASTEST_MILES_PER_HOUR = 75
REPEATED_TEXT_LETTERS = 25
"""Shorter texts repeat by themselves: "all well"."""


class Check(StrEnum):
    """What was looked at."""

    OVERLAP = "overlap"  # one person at two visits at the same time
    IMPOSSIBLE_TRAVEL = "impossible_travel"  # no time for the road between, or faster than a car
    UNDER_FIVE_MINUTES = "under_five_minutes"
    BURST_ENTRY = "burst_entry"  # many logs written by one person within minutes
    NO_SCHOOL_THAT_DAY = "no_school_that_day"
    REPEATED_TEXT = "repeated_text"  # the same words in the logs of different households


@dataclass(frozen=True, slots=True, kw_only=True)
class Travel:
    """One visitor's way to and from a visit."""

    travel_minutes: int = 0
    mileage_tenths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedVisit:
    """What the checks read of a log. `is_school_day` is None where no calendar of that time is known."""

    log_id: UUID
    household_key: UUID
    outcome: str
    started_at: datetime
    ended_at: datetime | None
    travel_by_visitor: Mapping[str, Travel]
    written_by: str
    written_at: datetime
    is_school_day: bool | None = None
    texts: tuple[str, ...] = ()

    @property
    def left_at(self) -> datetime:
        """Say when the visitors left; an attempt without an end took no time."""
        return self.ended_at or self.started_at


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """Something to ask about: which check, which logs, and of whom. Never a text, never a name of a family."""

    check: Check
    log_ids: tuple[UUID, ...]
    visitor_id: str | None = None


def findings(logs: Sequence[LoggedVisit]) -> list[Finding]:
    """Find what deserves a question, in an order that does not depend on how the logs came."""
    found = [*_alone(logs), *_one_after_another(logs), *_bursts(logs), *_repeated_texts(logs)]
    return sorted(set(found), key=lambda finding: (finding.check, finding.log_ids, finding.visitor_id or ""))


def _alone(logs: Sequence[LoggedVisit]) -> Iterator[Finding]:
    for log in logs:
        took_place = log.outcome == TOOK_PLACE
        if took_place and log.ended_at is not None and log.ended_at - log.started_at < SHORTEST_VISIT:
            yield Finding(check=Check.UNDER_FIVE_MINUTES, log_ids=(log.log_id,))
        if log.is_school_day is False:
            yield Finding(check=Check.NO_SCHOOL_THAT_DAY, log_ids=(log.log_id,))
        for visitor_id, travel in log.travel_by_visitor.items():
            # Ten times the miles and sixty times the hours: whole numbers on both sides.
            if travel.mileage_tenths * 60 > travel.travel_minutes * FASTEST_MILES_PER_HOUR * 10:
                yield Finding(check=Check.IMPOSSIBLE_TRAVEL, log_ids=(log.log_id,), visitor_id=visitor_id)


def _one_after_another(logs: Sequence[LoggedVisit]) -> Iterator[Finding]:
    by_visitor: defaultdict[str, list[LoggedVisit]] = defaultdict(list)
    for log in logs:
        for visitor_id in log.travel_by_visitor:
            by_visitor[visitor_id].append(log)
    for visitor_id, visits in by_visitor.items():
        visits.sort(key=lambda log: (log.started_at, log.left_at, log.log_id))
        last_to_leave = visits[0]
        for earlier, later in pairwise(visits):
            # Whoever leaves last counts: a long visit may overlap several short ones.
            last_to_leave = max(last_to_leave, earlier, key=lambda log: (log.left_at, log.log_id))
            both = tuple(sorted((last_to_leave.log_id, later.log_id)))
            between = later.started_at - last_to_leave.left_at
            if between < timedelta(0):
                yield Finding(check=Check.OVERLAP, log_ids=both, visitor_id=visitor_id)
                continue
            # What is logged is the way there and back: half of it should fit in between.
            road = timedelta(minutes=later.travel_by_visitor[visitor_id].travel_minutes) / 2
            if last_to_leave.household_key != later.household_key and between < road:
                yield Finding(check=Check.IMPOSSIBLE_TRAVEL, log_ids=both, visitor_id=visitor_id)


def _bursts(logs: Sequence[LoggedVisit]) -> Iterator[Finding]:
    by_writer: defaultdict[str, list[LoggedVisit]] = defaultdict(list)
    for log in logs:
        by_writer[log.written_by].append(log)
    for writer, written in by_writer.items():
        written.sort(key=lambda log: (log.written_at, log.log_id))
        hasty: list[LoggedVisit] = []
        for first, last in zip(range(len(written)), range(BURST_LOGS - 1, len(written)), strict=False):
            if written[last].written_at - written[first].written_at <= BURST_WITHIN:
                hasty += [log for log in written[first : last + 1] if log not in hasty[-BURST_LOGS:]]
        burst: list[LoggedVisit] = []
        for log in hasty:
            if burst and log.written_at - burst[-1].written_at > BURST_WITHIN:
                yield _burst(burst, writer)
                burst = []
            burst.append(log)
        if burst:
            yield _burst(burst, writer)


def _burst(burst: Sequence[LoggedVisit], writer: str) -> Finding:
    return Finding(check=Check.BURST_ENTRY, log_ids=tuple(sorted(log.log_id for log in burst)), visitor_id=writer)


def _repeated_texts(logs: Sequence[LoggedVisit]) -> Iterator[Finding]:
    by_words: defaultdict[str, dict[UUID, UUID]] = defaultdict(dict)
    for log in logs:
        for text in log.texts:
            words = "".join(letter for letter in text.casefold() if letter.isalnum())
            if len(words) >= REPEATED_TEXT_LETTERS:
                by_words[words][log.log_id] = log.household_key
    for household_by_log in by_words.values():
        if len(set(household_by_log.values())) > 1:
            yield Finding(check=Check.REPEATED_TEXT, log_ids=tuple(sorted(household_by_log)))
