"""Which marks of a batch are told for the second time: they are applied like any other, and counted no more."""

from collections import defaultdict
from collections.abc import Mapping

from services.flagging.handlers.marking import Day, DayMarks
from services.flagging.rules.places import Span, merged, seen_before, spans_of
from services.flagging.store import places
from services.flagging.store.places import Log
from services.runtime.database import Connection


async def note(connection: Connection, days: Mapping[Day, DayMarks]) -> None:
    """Enter where the batch's marks landed, and note in each day those whose place is known already."""
    spans: defaultdict[Log, list[Span]] = defaultdict(list)
    for day, marks in days.items():
        for told in marks.landed:
            spans[day[0], told.log] += spans_of(told.runs)
    if not spans:
        return
    entries: dict[Log, list[Span]] = {}
    again: set[Log] = set()
    for log, every in spans.items():
        entries[log], is_twice = merged(every)
        if is_twice:
            again.add(log)
    known = await places.enter(connection, entries)
    seen: defaultdict[Log, set[int]] = defaultdict(set)
    for day, marks in days.items():
        for told in marks.landed:
            log = day[0], told.log
            if log in known or log in again:
                repeats = seen_before(told.runs, known=known.get(log, ()), seen=seen[log])
                marks.repeats.update(told.first + place for place, is_repeat in enumerate(repeats) if is_repeat)
