"""Builders: landing records as a district writes them, and the facts a batch of them comes to."""

import json
from typing import Any

from services.ingest.handlers import Batch, decode_landed
from services.ingest.rules.pseudonyms import Districts, Pseudonyms
from tests.delivering import record

HARTFORD_TOKEN = "hartford-token-of-the-tests"
DANBURY_TOKEN = "danbury-token-of-the-tests!"


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


def land(*values: Any, topic: str = "attendance-in-hartford", headers: tuple[tuple[str, bytes], ...] = ()) -> Batch:
    """One batch of records, from offset 0 on; a dict is written as JSON, bytes as they are."""
    batch = Batch(districts())
    for offset, value in enumerate(values):
        written = json.dumps(value) if isinstance(value, dict) else value
        landing = record(topic, 0, offset, written, headers=headers)
        batch.land(landing, decode_landed(landing, districts=districts()))
    return batch


def published(batch: Batch, topic: str) -> list[tuple[int, dict[str, Any]]]:
    """What a batch publishes to a topic: (partition, event), each partition's in order."""
    return [
        (partition, json.loads(value))
        for partition, messages in sorted(batch.outgoing[topic].items())
        for _key, value, _headers in messages
    ]


def rejections(batch: Batch) -> list[dict[str, Any]]:
    """The rejected records of a batch, as events."""
    return [event for _, event in published(batch, "attendance-rejected")]
