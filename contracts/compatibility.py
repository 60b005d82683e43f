"""Whether the contracts keep their promises: to each other, and to every event and reader there already is.

    python -m contracts.compatibility               the committed files agree with each other and with what was released
    python -m contracts.compatibility --release     and what is new among them is released from now on
    python -m contracts.compatibility --base REV    and no schema, topic or example of a git revision broke since

A change that breaks comes as a new version beside the old one (`roll.completed.v2`): the old class, its schema and its
examples stay as they are for as long as one event of it is kept. Another key, or more partitions, are another topic.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from contracts import released
from contracts.differences import Json, Verdict, breaking, differences
from contracts.events import Event
from contracts.generate import FOLDER, concrete_events, stale_files
from contracts.services import SERVICES
from contracts.topics import FORMER, TOPICS, Topic

EXAMPLES_PER_EVENT = 2
_EVENT_TYPE = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*")
_SITUATION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# Read by people, not by a service: what could not be accepted goes back to the district that sent it.
_WITHOUT_READER = {"attendance-rejected"}
_WAY_OUT = "what was released stays: a change that breaks is a new event version, or a new topic, beside the old one"

Tree = Mapping[str, str]
"""Texts by path below `contracts/`."""


class BaseUnreadable(Exception):
    """The base revision can't be read: fetch it, or name one that has a `contracts` folder."""


_formats = FormatChecker()


@_formats.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return bool(_RFC_3339.fullmatch(value)) and bool(datetime.fromisoformat(value))


def committed(folder: Path = FOLDER) -> Tree:
    """Read the schemas, AsyncAPI documents and examples below `folder`."""
    kinds = ("schemas", "asyncapi", "examples")
    paths = [path for kind in kinds for path in sorted((folder / kind).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def at_revision(revision: str, folder: Path = FOLDER) -> Tree:
    """Read the same files as they were at a git revision; raises `BaseUnreadable`."""
    command = ["git", "-C", str(folder), "archive", "--format=tar", revision]
    packed = subprocess.run(command, capture_output=True, check=False)
    if packed.returncode:
        raise BaseUnreadable(f"{revision}: {packed.stderr.decode(errors='replace').strip()}")
    texts: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".json") else None
            if content and member.name.startswith(("schemas/", "asyncapi/", "examples/")):
                texts[member.name] = content.read().decode()
    return texts


def orphans(tree: Tree, *, events: Iterable[type[Event]], topics: Iterable[Topic]) -> list[str]:
    """Name every topic, event, schema and example folder that lacks its counterpart."""
    events, topics = list(events), list(topics)
    event_types = {event.EVENT_TYPE for event in events}
    events_of = {topic.name: {event.EVENT_TYPE for event in topic.events} for topic in topics}
    carried = Counter(
        event_type
        for name, event_types_of_topic in events_of.items()
        for event_type in event_types_of_topic - events_of.get(FORMER.get(name, ""), set())
    )
    examples = Counter(path.split("/")[1] for path in tree if path.startswith("examples/"))
    schemas = {path.removeprefix("schemas/").removesuffix(".json") for path in tree if path.startswith("schemas/")}

    found = [f"{event_type}: on no topic" for event_type in sorted(event_types - carried.keys())]
    found += [f"{event_type}: on {count} topics" for event_type, count in sorted(carried.items()) if count > 1]
    found += [f"{event_type}: two classes" for event_type, n in Counter(e.EVENT_TYPE for e in events).items() if n > 1]
    found += [f"{event_type}: no schema" for event_type in sorted(event_types - schemas)]
    found += [f"schemas/{event_type}.json: no event" for event_type in sorted(schemas - event_types)]
    found += [f"examples/{event_type}: no event" for event_type in sorted(examples.keys() - event_types)]
    found += [
        f"{event_type}: {examples[event_type]} of {EXAMPLES_PER_EVENT} examples"
        for event_type in sorted(event_types)
        if examples[event_type] < EXAMPLES_PER_EVENT
    ]
    found += [f"{name}: two topics" for name, count in Counter(topic.name for topic in topics).items() if count > 1]
    for topic in topics:
        if not topic.events:
            found.append(f"{topic.name}: carries no event")
        if not topic.consumers and topic.name not in _WITHOUT_READER:
            found.append(f"{topic.name}: nobody reads it")
        strangers = {topic.producer, *topic.consumers} - SERVICES.keys()
        found += [f"{topic.name}: {stranger} is no service" for stranger in sorted(strangers)]
    return found


def misshapen_events(events: Iterable[type[Event]]) -> list[str]:
    """Name each event class that is not frozen, not tolerant, or not told apart by its `event_type`."""
    found = []
    for event in events:
        field = event.model_fields["event_type"]
        if not _EVENT_TYPE.fullmatch(event.EVENT_TYPE):
            found.append(f"{event.EVENT_TYPE}: is not `subject.fact.vN`")
        # A default would leave it out of `required`, and readers could no longer tell events apart.
        if getattr(field.annotation, "__args__", None) != (event.EVENT_TYPE,) or not field.is_required():
            found.append(f'{event.EVENT_TYPE}: event_type must be Literal["{event.EVENT_TYPE}"] without a default')
        if not event.model_config.get("frozen"):
            found.append(f"{event.EVENT_TYPE}: a fact is frozen")
        if event.model_config.get("extra") != "ignore":
            found.append(f"{event.EVENT_TYPE}: a reader ignores fields it does not know")
    return found


def unreadable_examples(examples: Tree, *, schemas: Tree, events: Iterable[type[Event]], exact: bool) -> list[str]:
    """Name each example that its schema refuses, its class can't load, or that changes on the way through.

    `exact` asks that loading and writing gives the very same JSON back; examples of an older revision need only
    mean the same after a second reading.
    """
    event_by_type = {event.EVENT_TYPE: event for event in events}
    found = []
    for path, text in sorted(examples.items()):
        _, event_type, situation = path.split("/")
        event, schema = event_by_type.get(event_type), schemas.get(f"schemas/{event_type}.json")
        if event is None or schema is None:
            found.append(f"{path}: {event_type} is gone")
            continue
        if not _SITUATION.fullmatch(situation.removesuffix(".json")):
            found.append(f"{path}: is not named by its situation in kebab-case")
        found += [
            f"{path}: {reason}" for reason in _refusals(text, schema=json.loads(schema), event=event, exact=exact)
        ]
    return found


def _refusals(text: str, *, schema: Json, event: type[Event], exact: bool) -> list[str]:
    try:
        example: Any = json.loads(text)
        loaded = event.model_validate_json(text)
    except ValueError as failure:
        detail = failure.errors(include_input=False) if isinstance(failure, ValidationError) else failure
        return [f"can't be loaded: {detail}"]
    validator = Draft202012Validator(schema, format_checker=_formats)
    refused = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(example)]
    written = loaded.model_dump_json(exclude_unset=True)
    if event.model_validate_json(written) != loaded:
        refused.append("means something else after a second reading")
    elif exact and json.loads(written) != example:
        refused.append("comes back as other JSON than was read")
    return refused


def broken_promises(
    base: Tree, now: Tree, *, events: Iterable[type[Event]], of: str = "the base revision"
) -> list[str]:
    """Name everything that was published at the base and does not hold any more. `of` says what the base is."""
    events = list(events)
    found = []
    for path in sorted(path for path in base if path.startswith("schemas/")):
        if path not in now:
            found.append(f"breaking: {path}: removed, and its events are still kept")
            continue
        judged = breaking(differences(old=json.loads(base[path]), new=json.loads(now[path])))
        found += [f"{path}: {difference}" for difference in judged]
    old_examples = {path: text for path, text in base.items() if path.startswith("examples/")}
    found += [f"breaking: {path}: an example once merged stays" for path in sorted(old_examples.keys() - now.keys())]
    found += [
        f"breaking: {reason} (an event of {of})"
        for reason in unreadable_examples(old_examples, schemas=now, events=events, exact=False)
    ]
    for path, text in sorted(now.items()):
        # Readers of the base still run while this one is rolled out.
        schema = base.get(f"schemas/{path.split('/')[1]}.json") if path.startswith("examples/") else None
        if schema and not Draft202012Validator(json.loads(schema), format_checker=_formats).is_valid(json.loads(text)):
            found.append(f"breaking: {path}: readers of {of} refuse it")
    return found + broken_channels(released.channels(base), released.channels(now))


def broken_channels(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """Name every topic whose address, partitions, key, retention or events changed under its readers."""
    found = [f"breaking: topic {address}: removed" for address in sorted(before.keys() - after.keys())]
    for address in sorted(before.keys() & after.keys()):
        old, new = before[address], after[address]
        gone = old["messages"].keys() - new["messages"].keys()
        found += [f"breaking: topic {address}: {event_type} left it" for event_type in sorted(gone)]
        kafka = old["bindings"]["kafka"], new["bindings"]["kafka"]
        for name in ("partitions", "topicConfiguration"):
            if kafka[0][name] != kafka[1][name]:
                found.append(f"breaking: topic {address}: {name} was {kafka[0][name]}, is {kafka[1][name]}")
        found += [
            f"{Verdict.UNKNOWN}: topic {address}: {name} was {old[name]!r}, is {new[name]!r}"
            for name in ("x-key", "x-personal-data")
            if old[name] != new[name]
        ]
    return found


def broken_releases(folder: Path = FOLDER) -> list[str]:
    """Name everything that was ever released and does not hold any more: schemas and topics, migrations, the list.

    Needs no history. Where there is one, an entry that left the list since any earlier commit is named too.
    """
    spoilt = released.list_problems(folder)
    try:
        spoilt += released.history_problems(folder)
    except released.NoHistory as reason:
        sys.stderr.write(f"earlier commits of the list are not looked at: {reason}\n")
    if spoilt:
        return spoilt  # what a spoilt list says of the rest is worth nothing

    releases: dict[str, dict[str, str]] = {}
    for entry in released.read_list(folder):
        if entry.what.startswith(("schemas/", "topics/")):
            releases.setdefault(entry.release, {})[entry.what] = released.bytes_of(entry, folder).decode()
    now, events = committed(folder), concrete_events()
    broken = [
        line
        for number, release in releases.items()
        for line in broken_promises(release, now, events=events, of=f"release {number}")
    ]
    return [*dict.fromkeys(broken), *([_WAY_OUT] if broken else ()), *released.migration_problems(folder)]


def problems(folder: Path = FOLDER) -> list[str]:
    """Say everything in which the committed files below `folder` disagree with the contracts."""
    tree, events = committed(folder), concrete_events()
    examples = {path: text for path, text in tree.items() if path.startswith("examples/")}
    return [
        *stale_files(folder),
        *orphans(tree, events=events, topics=TOPICS),
        *misshapen_events(events),
        *unreadable_examples(examples, schemas=tree, events=events, exact=True),
        *broken_releases(folder),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print one line per problem, and what is not released yet; 0 no problem, 1 some, 2 the base can't be read."""
    parser = argparse.ArgumentParser(prog="python -m contracts.compatibility", description="Do the contracts hold?")
    parser.add_argument("--base", metavar="REV", help="git revision whose readers and events must survive")
    parser.add_argument("--release", action="store_true", help="what is new is released, once nothing is broken")
    asked = parser.parse_args(arguments)
    found = problems()
    try:
        if asked.base:
            found += broken_promises(at_revision(asked.base), committed(), events=concrete_events())
    except BaseUnreadable as failure:
        sys.stderr.write(f"the base revision can't be read: {failure}\n")
        return 2
    sys.stdout.writelines(line + "\n" for line in found)
    if found:
        return 1
    if asked.release:
        sys.stdout.writelines(f"released: {released.named(entry.what)}\n" for entry in released.extend())
    sys.stdout.writelines(f"not released yet: {released.named(what)}\n" for what in released.unreleased())
    return 0


if __name__ == "__main__":
    sys.exit(main())
