"""Builders: landing records as a district writes them, and the facts a batch of them comes to."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.ingest.handlers.batch import Batch, Outgoing
from services.ingest.handlers.landed import read_landed
from services.ingest.rules.pseudonyms import Districts, Pseudonyms
from services.ingest.store.feeds import TellsOf, Word
from tests.delivering import record
from tests.zones import HERE

HARTFORD_TOKEN = "hartford-token-of-the-tests"
DANBURY_TOKEN = "danbury-token-of-the-tests!"

NOON = 1_788_278_400_000
"""Noon of 1 September 2026 where the districts are: when records land, unless a test says otherwise."""
DAY_MS = 24 * 3600 * 1000


def districts() -> Districts:
    """Two districts with secrets of their own and one state's secret."""
    from hashlib import sha256

    return Districts(
        pseudonyms={
            "hartford": Pseudonyms(secret=b"h" * 32, state_secret=b"s" * 32),
            "danbury": Pseudonyms(secret=b"d" * 32, state_secret=b"s" * 32),
        },
        token_digests={
            "hartford": sha256(HARTFORD_TOKEN.encode()).digest(),
            "danbury": sha256(DANBURY_TOKEN.encode()).digest(),
        },
    )


def mark(**fields: Any) -> dict[str, Any]:
    """A mark of student 100234, with the fields given in place of the usual ones; None leaves a field out."""
    usual = {
        "type": "mark",
        "student": "100234",
        "school": "H01",
        "date": "2026-09-01",
        "category": "excused_absence",
        "version": 1,
    }
    return {name: field for name, field in {**usual, **fields}.items() if field is not None}


def retraction(**fields: Any) -> dict[str, Any]:
    """That the mark of student 100234 is taken back."""
    usual = {"type": "retraction", "student": "100234", "school": "H01", "date": "2026-09-01", "version": 2}
    return {**usual, **fields}


def completed(**fields: Any) -> dict[str, Any]:
    """That school H01 has taken attendance on 1 September."""
    return {"type": "roll_completed", "school": "H01", "date": "2026-09-01", "feed": "exceptions", **fields}


def roll(*marks: Any, **fields: Any) -> dict[str, Any]:
    """A whole roll of school H01 on 1 September."""
    return {"type": "roll", "school": "H01", "date": "2026-09-01", "marks": list(marks), **fields}


def enrollment(**fields: Any) -> dict[str, Any]:
    """An enrolment of student 100234 in grade K."""
    usual = {
        "type": "enrollment",
        "id": "stint-7",
        "student": "100234",
        "school": "H01",
        "grade": "K",
        "entry_date": "2026-08-31",
        "version": 1,
    }
    return {name: field for name, field in {**usual, **fields}.items() if field is not None}


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch that was taken in, and what it comes to."""

    batch: Batch
    outgoing: Outgoing

    def counts(self) -> Counter[tuple[str, str]]:
        """Count the records by district and kind."""
        return self.batch.counts()


def land(
    *values: Any,
    topic: str = "attendance-in-hartford",
    headers: tuple[tuple[str, bytes], ...] = (),
    at: int = NOON,
    feeds: Mapping[TellsOf, Word] | None = None,
) -> Taken:
    """Land one batch of records, from offset 0 on; a dict is written as JSON, bytes as they are.

    `feeds` is how schools reported before, for a batch that asks.
    """
    batch = Batch(districts(), zone=HERE)
    for offset, value in enumerate(values):
        written = json.dumps(value) if isinstance(value, dict) else value
        landing = record(topic, 0, offset, written, headers=headers, timestamp_ms=at)
        landed = read_landed(landing, districts=districts())
        if (district := batch.land(landing, landed)) is not None:
            batch.know_feeds(district, feeds or {})
            assert batch.land(landing, landed) is None
    return Taken(batch, batch.close())


def published(batch: Taken, topic: str) -> list[tuple[int, dict[str, Any]]]:
    """What a batch publishes to a topic: (partition, event), each partition's in order."""
    return [
        (partition, json.loads(value))
        for partition, messages in sorted(batch.outgoing[topic].items())
        for _key, value, _headers in messages
    ]


def rejections(batch: Taken) -> list[dict[str, Any]]:
    """The rejected records of a batch, as events."""
    return [event for _, event in published(batch, "attendance-rejected")]
