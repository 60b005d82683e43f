"""10,000 mutated records on a real database: each is found again with its bytes, the good ones take effect."""

import base64
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiokafka import ConsumerRecord

from contracts.events import AttendanceRejected, RollRecorded
from services.ingest.handlers import landed as handlers
from services.ingest.rules.allowance import Bucket
from services.runtime.delivery.subscription import Subscription
from tests.delivering import RecordingPublisher, deliver, record
from tests.unit.ingest.landed import districts, mark

TOPIC = "attendance-in-hartford"
MUTATED_RECORDS = 10_000

landed = Subscription(
    group="leap-ingest",
    pattern="^(attendance|roster)-in-.*",
    decode=partial(handlers.decode_landed, districts=districts()),
    # Each by itself, however many: which ones go back is what is looked at.
    handle=partial(handlers.on_landed, districts=districts(), one_by_one=Bucket(1e9, 1.0)),
)


def _truncated(chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(good[: chance.randrange(len(good))])


def _wrong_type(chance: random.Random, good: bytes) -> ConsumerRecord:
    field = chance.choice(["student", "school", "date", "category", "version", "present_parts"])
    wrong: Any = chance.choice([True, 1.5, [], {}, ["x"], {"x": 1}, "\x00", ""])
    return _record(json.dumps({**json.loads(good), field: wrong}).encode())


def _huge(chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(json.dumps({**json.loads(good), "note": "x" * chance.choice([66_000, 90_000])}).encode())


def _nul(chance: random.Random, good: bytes) -> ConsumerRecord:
    at = chance.randrange(len(good))
    return _record(good[:at] + b"\x00" + good[at:])


def _escaped_nul(_chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(good.replace(b'"H01"', b'"H\\u000001"'))


def _lone_surrogate(_chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(good.replace(b'"H01"', b'"H\\udc0001"'))


def _bad_utf8_in_value(chance: random.Random, good: bytes) -> ConsumerRecord:
    at = chance.randrange(len(good))
    return _record(good[:at] + chance.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80"]) + good[at:])


def _bad_utf8_in_key(_chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(good, key=b"\xff\xfe")


def _bad_utf8_in_header(chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(good, headers=((chance.choice(["leap-receipt", "trace"]), b"\xc3\x28"),))


def _impossible_date(chance: random.Random, good: bytes) -> ConsumerRecord:
    day = chance.choice(["2026-02-30", "2026-13-01", "0000-00-00", "9999-12-31", "1726-09-01", "yesterday", "2026-9-1"])
    return _record(json.dumps({**json.loads(good), "date": day}).encode())


def _foreign_district(_chance: random.Random, good: bytes) -> ConsumerRecord:
    return _record(json.dumps({**json.loads(good), "district": "danbury"}).encode())


def _tombstone(_chance: random.Random, _good: bytes) -> ConsumerRecord:
    return _record(None)


MUTATIONS: list[Callable[[random.Random, bytes], ConsumerRecord]] = [
    _truncated, _wrong_type, _nul, _escaped_nul, _lone_surrogate, _bad_utf8_in_value, _bad_utf8_in_key,
    _bad_utf8_in_header, _impossible_date, _foreign_district, _tombstone,
]  # fmt: skip


def _record(
    value: bytes | None, key: bytes | None = None, headers: tuple[tuple[str, bytes], ...] = ()
) -> ConsumerRecord:
    return record(TOPIC, 0, 0, value, key=key, headers=headers)


def _at(each: ConsumerRecord, offset: int) -> ConsumerRecord:
    return record(TOPIC, 0, offset, each.value, key=each.key, headers=each.headers)


async def test_each_mutated_record_is_found_again_and_its_neighbours_take_effect(
    service_database: Callable[[str], Awaitable[Any]],
) -> None:
    pool = await service_database("ingest")
    chance = random.Random(20260901)
    records: list[ConsumerRecord] = []
    good_students: set[str] = set()
    mutated: dict[int, bytes] = {}
    for n in range(MUTATED_RECORDS):
        good = json.dumps(mark(student=str(n), district="hartford")).encode()
        bad = (_huge if n % 500 == 0 else chance.choice(MUTATIONS))(chance, good)
        mutated[len(records)] = bad.value or b""
        records.append(_at(bad, len(records)))
        if n % 2:
            student = f"good-{n}"
            good_students.add(districts().pseudonyms["hartford"].student_key(student=student, state_student=None))
            records.append(record(TOPIC, 0, len(records), json.dumps(mark(student=student))))

    publisher = RecordingPublisher()
    dead = 0
    for start in range(0, len(records), 5000):
        outcome = await deliver(pool, landed, records[start : start + 5000], publisher)
        dead += sum(outcome.dead_letters.values())

    returned: dict[int, bytes] = {}
    reasons: Counter[str] = Counter()
    recorded: Counter[str] = Counter()
    for topic, _partition, (_key, value, _headers) in publisher.published:
        if topic == "attendance-rejected":
            rejected = AttendanceRejected.model_validate_json(value)
            returned[rejected.landing_offset] = rejected.original
            reasons[rejected.reason] += 1
        else:
            recorded.update(map(str, RollRecorded.model_validate_json(value).students))
    assert dead == 0
    assert returned == mutated
    assert set(recorded) == good_students
    assert set(recorded.values()) == {1}
    assert len(reasons) >= 8
    counts = {row["kind"]: row["records"] for row in await pool.fetch("SELECT kind, records FROM landed_count")}
    assert counts == {"mark": len(good_students), "rejected": MUTATED_RECORDS}


async def test_what_is_too_large_to_travel_back_is_kept_with_its_bytes(
    service_database: Callable[[str], Awaitable[Any]],
) -> None:
    pool = await service_database("ingest")
    huge = b"x" * (handlers.MAX_RETURNABLE_BYTES + 1)
    publisher = RecordingPublisher()

    outcome = await deliver(
        pool, landed, [record(TOPIC, 0, 0, huge), record(TOPIC, 0, 1, json.dumps(mark()))], publisher
    )

    assert outcome.dead_letters == {"too_large": 1}
    assert await pool.fetchval("SELECT value FROM dead_letter") == huge
    assert [topic for topic, _, _ in publisher.published] == ["rolls"]


async def test_a_batch_delivered_again_counts_nothing_twice(service_database: Callable[[str], Awaitable[Any]]) -> None:
    pool = await service_database("ingest")
    batch = [record(TOPIC, 0, 0, json.dumps(mark())), record(TOPIC, 0, 1, b"{")]

    await deliver(pool, landed, batch)
    await deliver(pool, landed, batch)

    counts = {row["kind"]: row["records"] for row in await pool.fetch("SELECT kind, records FROM landed_count")}
    assert counts == {"mark": 1, "rejected": 1}


async def test_a_rejected_record_keeps_its_bytes_through_base64(
    service_database: Callable[[str], Awaitable[Any]],
) -> None:
    pool = await service_database("ingest")
    publisher = RecordingPublisher()
    await deliver(pool, landed, [record(TOPIC, 0, 0, b"\x00\xff{")], publisher)
    [(_topic, _partition, (key, value, _headers))] = publisher.published
    assert key == b"hartford"
    assert base64.b64decode(json.loads(value)["original"]) == b"\x00\xff{"
