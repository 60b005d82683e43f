"""What is derived: a JSON Schema per event, an AsyncAPI 3.0 document per service, and who may use which route.

python -m contracts.generate            writes all of it
python -m contracts.generate --check    says what differs from the committed files, and fails if anything does
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from contracts import access
from contracts.events import Event
from contracts.services import SERVICES
from contracts.topics import ATTENDANCE_IN, LANDING_RETENTION_MS, ROSTER_IN, TOPICS, Topic

Json = dict[str, Any]

FOLDER = Path(__file__).parent
CONTRACTS_VERSION = "1.0.0"
ACCESS = "access.md"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

CLOUD_EVENT_HEADERS: Json = {
    "title": "CloudEventHeaders",
    "description": "CloudEvents 1.0, binary mode of the Kafka binding: all values are UTF-8 text.",
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "`event_id`; the same fact always carries the same one"},
        "ce_type": {"type": "string", "description": "`event_type`"},
        "ce_source": {"type": "string", "description": "`district/<code>` for what a district said, else the service"},
        "content-type": {"type": "string", "const": "application/json"},
    },
    "patternProperties": {
        "^landing-": {"description": "on attendance-rejected: the landed record's own headers and key, bytes unaltered"}
    },
}

_LANDED = {
    "attendance": (
        ATTENDANCE_IN,
        ("mark", "retraction", "roll", "roll_completed", "roll_reopened", "feed"),
        "marks, retractions, whole, completed and reopened rolls, and how its schools report",
    ),
    "roster": (
        ROSTER_IN,
        ("enrollment", "calendar", "household", "household_forgotten", "student_forgotten"),
        "enrolments, calendars, household contacts, and who is to be forgotten",
    ),
}


_MARKS_OF_A_ROLL: Json = {
    "type": "array",
    "maxItems": 2000,
    "description": "of a `roll`, one array for each mark; a bad one comes back alone, with its place as the row",
    "items": {
        "type": "array",
        "minItems": 3,
        "description": "student (the state's number as `state:9001`), category, version, present_parts, day_parts",
    },
}


def concrete_events(base: type[Event] = Event) -> list[type[Event]]:
    """List the event classes that declare an `EVENT_TYPE` of their own, by event type."""
    found: list[type[Event]] = []
    for child in base.__subclasses__():
        if "EVENT_TYPE" in vars(child) and child.__module__.startswith("contracts."):
            found.append(child)
        found += concrete_events(child)
    return sorted(found, key=lambda event: event.EVENT_TYPE)


def schema_of(event: type[Event]) -> Json:
    """Describe what a reader must be able to read: fields with a default may be missing."""
    described = TypeAdapter(event).json_schema(mode="validation")
    return {"$schema": _DIALECT, "$id": f"urn:leap:event:{event.EVENT_TYPE}", **described}


def asyncapi_of(service: str, *, topics: Iterable[Topic] = TOPICS) -> Json:
    """Describe every channel that `service` receives from or sends to, as AsyncAPI 3.0."""
    received = [topic for topic in topics if service in topic.consumers]
    sent = [topic for topic in topics if service == topic.producer]
    models = {event for topic in received + sent for event in topic.events}
    channels = {topic.name: _channel(topic) for topic in received + sent}
    operations = {f"receive-{topic.name}": _operation("receive", topic) for topic in received}
    operations |= {f"send-{topic.name}": _operation("send", topic) for topic in sent}
    messages = {event.EVENT_TYPE: _message(event) for event in models}
    schemas = _component_schemas(models)
    if service == "ingest":
        for name, (prefix, kinds, words) in _LANDED.items():
            channels[f"{name}-in"] = _landing_channel(name, prefix, words)
            operations[f"receive-{name}-in"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{name}-in"},
                "messages": [{"$ref": f"#/channels/{name}-in/messages/{name}-record"}],
            }
            messages[f"{name}-record"] = _landing_message(name, words)
            schemas[f"{name.title()}Record"] = _landing_schema(kinds)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"LEAP {service}", "version": CONTRACTS_VERSION, "description": SERVICES[service]},
        "defaultContentType": "application/json",
        "channels": dict(sorted(channels.items())),
        "operations": dict(sorted(operations.items())),
        "components": {"messages": dict(sorted(messages.items())), "schemas": dict(sorted(schemas.items()))},
    }


def _channel(topic: Topic) -> Json:
    readers = ", ".join(topic.consumers) if topic.consumers else "its district"
    tombstone = f" A record without a value says {topic.tombstone}." if topic.tombstone else ""
    return {
        "address": topic.name,
        "description": f"Keyed by {topic.key}. Written by {topic.producer}, read by {readers}.{tombstone}",
        "messages": {event.EVENT_TYPE: {"$ref": f"#/components/messages/{event.EVENT_TYPE}"} for event in topic.events},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": topic.retention_ms,
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-key": topic.key,
        "x-personal-data": topic.personal_data,
    }


def _operation(action: str, topic: Topic) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{event.EVENT_TYPE}"} for event in topic.events],
    }


def _message(event: type[Event]) -> Json:
    return {
        "name": event.EVENT_TYPE,
        "title": event.__name__,
        "summary": (event.__doc__ or "").splitlines()[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
    }


def _component_schemas(models: Iterable[type[Event]]) -> Json:
    ordered = sorted(models, key=lambda event: event.__name__)
    template = "#/components/schemas/{model}"
    _, described = models_json_schema([(event, "validation") for event in ordered], ref_template=template)
    schemas: Json = _as_draft_07(described.get("$defs", {}))
    return {"CloudEventHeaders": CLOUD_EVENT_HEADERS, **schemas}


def _as_draft_07(node: Any) -> Any:
    """AsyncAPI 3 reads draft 07, where the positions of a tuple are called `items`."""
    if isinstance(node, list):
        return [_as_draft_07(child) for child in node]
    if isinstance(node, dict):
        return {"items" if name == "prefixItems" else name: _as_draft_07(child) for name, child in node.items()}
    return node


def _landing_channel(name: str, prefix: str, words: str) -> Json:
    return {
        "address": prefix + "{district}",
        "description": f"Where one district, and no other, lands its {words}. The topic names the district.",
        "parameters": {"district": {"description": "district code, kebab-case"}},
        "messages": {f"{name}-record": {"$ref": f"#/components/messages/{name}-record"}},
        "bindings": {
            "kafka": {
                # One partition: a district's own order is kept, and districts are parallel enough.
                "partitions": 1,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": LANDING_RETENTION_MS},
                "bindingVersion": "0.5.0",
            }
        },
        "x-key": "the district's own choice; the order is the partition's",
        "x-personal-data": True,
    }


def _landing_message(name: str, words: str) -> Json:
    return {
        "name": f"{name}-record",
        "summary": f"One JSON object: {words}. What can't become a fact comes back on attendance-rejected.",
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name.title()}Record"},
    }


def _landing_schema(kinds: tuple[str, ...]) -> Json:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": list(kinds)},
            "district": {"type": "string", "description": "may be left out; must be the topic's district if sent"},
            "version": {"type": "integer", "minimum": 0, "description": "source version, or modification time in µs"},
            **({"marks": _MARKS_OF_A_ROLL} if "roll" in kinds else {}),
        },
    }


def generated_files() -> dict[str, str]:
    """Return the text of every generated file, by its path below `contracts/`."""
    documents = {f"schemas/{event.EVENT_TYPE}.json": schema_of(event) for event in concrete_events()}
    documents |= {f"asyncapi/{service}.json": asyncapi_of(service) for service in SERVICES}
    texts = {path: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for path, document in documents.items()}
    return texts | {ACCESS: access.document()}


def stale_files(folder: Path = FOLDER) -> list[str]:
    """Name each file that is missing, out of date, or generated from nothing that still exists."""
    wanted = generated_files()
    found = {
        path.relative_to(folder).as_posix() for kind in ("schemas", "asyncapi") for path in (folder / kind).glob("*")
    }
    found |= {ACCESS} if (folder / ACCESS).exists() else set()
    stale = [f"{path}: not committed" for path in sorted(wanted.keys() - found)]
    stale += [f"{path}: belongs to no event or service" for path in sorted(found - wanted.keys())]
    stale += [
        f"{path}: differs from what the contracts say; run `python -m contracts.generate`"
        for path in sorted(wanted.keys() & found)
        if (folder / path).read_text(encoding="utf-8") != wanted[path]
    ]
    return stale


def write(folder: Path = FOLDER) -> None:
    """Make the generated files below `folder` equal to the contracts, and remove those without a source."""
    wanted = generated_files()
    for kind in ("schemas", "asyncapi"):
        (folder / kind).mkdir(exist_ok=True)
        for path in (folder / kind).glob("*.json"):
            if path.relative_to(folder).as_posix() not in wanted:
                path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or with `--check` only judge the committed ones; 1 means stale."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description="JSON Schemas and AsyncAPI.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a committed file is stale")
    if not parser.parse_args(arguments).check:
        write()
        return 0
    stale = stale_files()
    sys.stdout.writelines(line + "\n" for line in stale)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
