"""The books of landing logs: each offset counts once, whatever is read again, and what is missing shows."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.component.ingest.test_rolls_land import LANDED, Landing
from tests.delivering import RecordingPublisher, deliver, record
from tests.unit.ingest.landed import NOON, completed, mark, roll

ServiceDatabase = Callable[[str], Awaitable[Any]]

TOPIC = "attendance-in-hartford"
BATCH = [mark(), roll(["1", "tardy", 1], ["2", "asleep", 1], feed="full", complete=True), mark(version=-1), completed()]
HOUR_MS = 3_600_000


class Reread(Landing):
    """A landing topic that is read again from where an operator sets the position to."""

    async def set_back(self, offset: int) -> None:
        """Set the position by hand, as the runbook says."""
        await self.pool.execute("UPDATE position SET next_offset = $1 WHERE topic = $2", offset, TOPIC)
        self._offsets[TOPIC] = offset

    async def read_as_another_log(self, *values: Any, later_ms: int) -> None:
        """Read what stands at these offsets after the topic was deleted and made anew."""
        import json

        start = self._offsets.get(TOPIC, 0)
        self._offsets[TOPIC] = start + len(values)
        records = [
            record(TOPIC, 0, start + n, json.dumps(value), timestamp_ms=NOON + later_ms + n)
            for n, value in enumerate(values)
        ]
        await deliver(self.pool, LANDED, records, self.publisher)

    def logs(self) -> list[str]:
        """Name the logs that the published rolls say they landed in."""
        return [each.landed.log for each in self.rolls() if each.landed]


async def test_a_position_set_back_counts_nothing_again(service_database: ServiceDatabase) -> None:
    landing = Reread(await service_database("ingest"))
    await landing.land(*BATCH)
    before = await landing.counts()

    await landing.set_back(0)
    assert await landing.gap() == 0
    await landing.land(*BATCH[:2])
    await landing.land(*BATCH[2:], mark(student="9"))

    assert await landing.counts() == {**before, "mark": before["mark"] + 1}
    assert await landing.gap() == 0


async def test_what_a_position_passed_over_is_missing_until_it_is_read_after_all(
    service_database: ServiceDatabase,
) -> None:
    landing = Reread(await service_database("ingest"))
    await landing.land(*BATCH)
    await landing.set_back(7)
    await landing.land(mark(student="7"))
    assert await landing.gap() == 3

    await landing.set_back(4)
    await landing.land(*(mark(student=str(n)) for n in range(4, 8)))
    assert await landing.gap() == 0
    assert (await landing.counts())["mark"] == 1 + 4


async def test_a_loss_does_not_hide_behind_what_is_read_again(service_database: ServiceDatabase) -> None:
    landing = Reread(await service_database("ingest"))
    await landing.land(*BATCH)
    await landing.set_back(0)
    await landing.land(*BATCH)
    await landing.set_back(7)
    await landing.land(mark(student="7"))
    assert await landing.gap() == 3


async def test_what_a_transaction_leaves_in_the_log_is_no_record_that_is_missing(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("ingest")
    publisher = RecordingPublisher()
    import json

    offsets = [0, 1, 3, 4]  # at 2 stands the marker of a transaction
    records = [record(TOPIC, 0, offset, json.dumps(mark(student=str(offset))), timestamp_ms=NOON) for offset in offsets]
    await deliver(pool, LANDED, records, publisher)
    landing = Landing(pool)
    assert await landing.gap() == 0
    assert await landing.counts() == {"mark": 4}


async def test_a_record_set_aside_is_accounted_for(service_database: ServiceDatabase) -> None:
    landing = Landing(await service_database("ingest"))
    too_large = record(TOPIC, 0, 0, b"{" + b" " * 600_000 + b"}", timestamp_ms=NOON)
    await deliver(landing.pool, LANDED, [too_large, record(TOPIC, 0, 1, "{}", timestamp_ms=NOON)], landing.publisher)
    assert await landing.gap() == 0


async def test_what_was_set_aside_of_a_former_log_is_kept_and_excuses_nothing_missing_of_the_next(
    service_database: ServiceDatabase,
) -> None:
    landing = Reread(await service_database("ingest"))
    poison = b"{" + b" " * 600_000 + b"}"
    await landing.land(mark(student="1"), mark(student="2"))
    await deliver(landing.pool, LANDED, [record(TOPIC, 0, 2, poison, timestamp_ms=NOON)], landing.publisher)
    assert await landing.gap() == 0

    await landing.set_back(0)
    await landing.read_as_another_log(mark(student="1"), mark(student="2"), later_ms=HOUR_MS)
    assert await landing.gap() == 0
    await landing.set_back(3)  # what stands at 2 is passed over: a good record for all that anybody knows
    await landing.read_as_another_log(mark(student="4"), later_ms=HOUR_MS + 3)
    assert await landing.gap() == 1

    again = record(TOPIC, 0, 2, poison, timestamp_ms=NOON + HOUR_MS + 2)
    await landing.set_back(2)
    for _ in range(2):
        await deliver(landing.pool, LANDED, [again], landing.publisher)
        await landing.set_back(2)
    await landing.set_back(4)
    kept = await landing.pool.fetch("SELECT record_timestamp_ms FROM dead_letter ORDER BY 1")
    assert [row[0] for row in kept] == [NOON, NOON + HOUR_MS + 2]
    assert await landing.gap() == 0


async def test_a_log_made_anew_begins_a_new_book(service_database: ServiceDatabase) -> None:
    landing = Reread(await service_database("ingest"))
    await landing.land(mark(student="1"), mark(student="2"), mark(student="3"))
    await landing.set_back(0)
    await landing.read_as_another_log(mark(student="4"), mark(student="5"), later_ms=HOUR_MS)

    assert await landing.counts() == {"mark": 5}
    assert await landing.gap() == 0
    first, second = landing.logs()
    assert first != second

    await landing.set_back(0)
    await landing.read_as_another_log(mark(student="4"), mark(student="5"), later_ms=HOUR_MS)
    assert await landing.counts() == {"mark": 5}


async def test_every_mark_says_where_it_landed(service_database: ServiceDatabase) -> None:
    landing = Landing(await service_database("ingest"))
    other = mark(school="H02")
    rolled = roll(["1", "tardy", 1], ["2", "asleep", 1], ["3", "tardy", 1], ["4", "tardy", 1])
    await landing.land(mark(), mark(student="8"), other, mark(student="9"), rolled)
    first, second = landing.rolls()
    assert first.landed is not None
    assert first.landed.runs == ((0, 0, 2), (3, 0, 1), (4, 1, 1), (4, 3, 2))
    assert second.landed is not None
    assert second.landed.runs == ((2, 0, 1),)


@pytest.mark.parametrize("behind", [0, 2])
async def test_what_landed_before_there_were_books_is_told_as_counted(
    service_database: ServiceDatabase, behind: int
) -> None:
    landing = Reread(await service_database("ingest"))
    await landing.pool.execute(
        "INSERT INTO position (consumer_group, topic, partition, next_offset) VALUES ('leap-ingest', $1, 0, 3)", TOPIC
    )
    await landing.pool.execute(
        """INSERT INTO landing_book (topic, partition, log, began, newest_ms, dealt, void)
           VALUES ($1, 0, 0, 3, $2, '{}', '{}')""",
        TOPIC,
        NOON + HOUR_MS,
    )
    await landing.pool.execute(
        "INSERT INTO landed_count (district, kind, records, before_books) VALUES ('hartford', 'mark', 3, 3)"
    )
    await landing.set_back(0)
    await landing.land(*(mark(student=str(n)) for n in range(3 + behind)))

    assert await landing.counts() == {"mark": 3 + behind}
    assert await landing.gap() == 0
    assert [(len(each.students), each.landed and each.landed.runs) for each in landing.rolls()] == [
        (3, ()),
        *([(behind, ((3, 0, behind),))] if behind else []),
    ]
