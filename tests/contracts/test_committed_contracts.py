"""What is committed agrees with itself: schemas, documents, examples, topics."""

import base64
import json

import pytest

from contracts import compatibility, generate
from contracts.events import Event, Grade
from contracts.generate import FOLDER, concrete_events
from contracts.services import SERVICES
from contracts.topics import PARTITIONS, TOPICS

EXAMPLES = sorted((FOLDER / "examples").glob("*/*.json"))
EVENT_BY_TYPE = {event.EVENT_TYPE: event for event in concrete_events()}


def test_the_committed_contracts_have_no_problem() -> None:
    assert compatibility.problems() == []


@pytest.mark.parametrize("event", concrete_events(), ids=lambda event: event.EVENT_TYPE)
def test_a_reader_survives_a_field_that_a_newer_writer_added(event: type[Event]) -> None:
    example = next(path for path in EXAMPLES if path.parent.name == event.EVENT_TYPE)
    written = json.loads(example.read_text())

    newer = event.model_validate_json(json.dumps({**written, "added_next_year": {"a": [1]}}))

    assert newer == event.model_validate_json(json.dumps(written))


@pytest.mark.parametrize("event", concrete_events(), ids=lambda event: event.EVENT_TYPE)
def test_no_event_is_read_as_another(event: type[Event]) -> None:
    example = json.loads(next(path for path in EXAMPLES if path.parent.name == event.EVENT_TYPE).read_text())

    for other in concrete_events():
        if other is not event:
            with pytest.raises(ValueError, match="event_type"):
                other.model_validate_json(json.dumps(example))


def test_every_documented_service_writes_or_reads_something() -> None:
    assert set(SERVICES) == {name for topic in TOPICS for name in (topic.producer, *topic.consumers)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_document_resolves_and_names_its_topics(service: str) -> None:
    document = generate.asyncapi_of(service)
    own = {topic.name for topic in TOPICS if service in (topic.producer, *topic.consumers)}
    landing = {"attendance-in-{district}", "roster-in-{district}"} if service == "ingest" else set()

    assert document["asyncapi"] == "3.0.0"
    assert {channel["address"] for channel in document["channels"].values()} == own | landing
    for reference in references(document):
        assert resolves(document, reference), reference


@pytest.mark.parametrize("service", SERVICES)
def test_every_event_travels_with_cloud_event_headers(service: str) -> None:
    document = generate.asyncapi_of(service)
    for name, message in document["components"]["messages"].items():
        if not name.endswith("-record"):
            assert message["headers"] == {"$ref": "#/components/schemas/CloudEventHeaders"}
    assert document["components"]["schemas"]["CloudEventHeaders"]["required"] == [
        "ce_specversion", "ce_id", "ce_type", "ce_source", "content-type",
    ]  # fmt: skip


def test_every_topic_behind_ingest_has_the_same_partitions() -> None:
    # Flagging owns the same partition number of all its topics: one district, one writer.
    assert {topic.partitions for topic in TOPICS} == {PARTITIONS}


def test_topic_names_have_no_dot() -> None:
    assert [topic.name for topic in TOPICS if "." in topic.name or "_" in topic.name] == []


def test_the_grades_are_the_fourteen_of_pk_to_12() -> None:
    assert [grade.value for grade in Grade] == ["PK", "K", *map(str, range(1, 13))]


def test_a_rejected_record_comes_back_with_the_bytes_that_were_sent() -> None:
    text = (FOLDER / "examples/attendance.rejected.v1/bytes-that-are-no-text.json").read_text()

    rejected = EVENT_BY_TYPE["attendance.rejected.v1"].model_validate_json(text)

    assert rejected.original.startswith(b"\xff\xfe\x00")  # type: ignore[attr-defined]
    assert base64.b64decode(json.loads(rejected.model_dump_json())["original"]).startswith(b"\xff\xfe\x00")


def test_times_are_read_as_utc() -> None:
    written = json.loads((FOLDER / "examples/roll.completed.v1/exceptions-feed-closes-its-day.json").read_text())
    written["occurred_at"] = "2026-09-14T16:00:00-04:00"

    roll = EVENT_BY_TYPE["roll.completed.v1"].model_validate_json(json.dumps(written))

    assert json.loads(roll.model_dump_json())["occurred_at"] == "2026-09-14T20:00:00Z"


def references(node: object) -> list[str]:
    """List every `$ref` below a document's node."""
    if isinstance(node, list):
        return [found for child in node for found in references(child)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for child in node.values() for found in references(child)]
    return []


def resolves(document: dict[str, object], reference: str) -> bool:
    """Say whether a local reference leads to something inside the document."""
    node: object = document
    for name in reference.removeprefix("#/").split("/"):
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True
