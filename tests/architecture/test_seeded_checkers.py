"""A checker that can't fail protects nothing: each one is given the fault it exists for."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from contracts.events import Event
from contracts.topics import TOPIC_BY_NAME
from tests.architecture import checks


def written(root: Path, path: str, text: str) -> Path:
    """Write one file of a made-up tree."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return place


@pytest.mark.parametrize(
    "line",
    [
        "import services.scheduling.store",
        "from services.scheduling import store",
        "from services.scheduling.store import open_requests",
        "from services import scheduling",
        "def later() -> None:\n    from services.scheduling import store",
    ],
)
def test_a_service_that_imports_another_is_found(tmp_path: Path, line: str) -> None:
    written(tmp_path, "services/flagging/handlers.py", line)
    assert checks.services_that_know_each_other(tmp_path) == [
        "services/flagging/handlers.py: imports services.scheduling"
    ]


@pytest.mark.parametrize(
    ("path", "line", "complaint"),
    [
        ("store.py", "from services.flagging.handlers import on_facts", "imports handlers"),
        ("store.py", "from services.flagging import app", "imports app"),
        ("handlers.py", "from services.flagging import api", "imports api"),
        ("api.py", "import services.flagging.app", "imports app"),
        ("rules/absence.py", "from services.flagging import store", "imports store"),
    ],
)
def test_an_import_against_the_direction_is_found(tmp_path: Path, path: str, line: str, complaint: str) -> None:
    written(tmp_path, f"services/flagging/{path}", line)
    assert checks.wrong_directions(tmp_path) == [f"services/flagging/{path}: {complaint}"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("app.py", "from services.flagging import api, handlers"),
        ("handlers.py", "from services.flagging import rules, store"),
        ("store/writes.py", "from services.flagging.store.marks_sql import UPSERT"),
        ("rules/absence.py", "from dataclasses import dataclass"),
    ],
)
def test_an_import_with_the_direction_is_not(tmp_path: Path, path: str, line: str) -> None:
    written(tmp_path, f"services/flagging/{path}", line)
    assert checks.wrong_directions(tmp_path) == []


@pytest.mark.parametrize(
    "line",
    [
        "import asyncpg",
        "import os",
        "from pathlib import Path",
        "from services.runtime.delivery.transaction import Transaction",
        "def later() -> None:\n    from services.scheduling.store import queue",
        "from contracts import released",
        "import importlib",
        "import smtplib",
        "x = open('rates.csv')",
        "x = __import__('asyncpg')",
        "from datetime import UTC, datetime\nx = datetime.now(UTC)",
        "import datetime\nx = datetime.date.today()",
        "import random\nx = random.random()",
        "from uuid import uuid4\nx = uuid4()",
        "import numpy as np\nx = np.load('days.npy')",
    ],
)
def test_a_rule_that_asks_the_world_the_clock_or_chance_is_found(tmp_path: Path, line: str) -> None:
    written(tmp_path, "services/scheduling/rules/week.py", line)
    found = checks.rules_that_do_more(tmp_path)
    assert found
    assert all(each.startswith("services/scheduling/rules/week.py: a rule ") for each in found)


def test_a_rule_that_only_reckons_is_not(tmp_path: Path) -> None:
    lines = (
        "import numpy as np\nfrom random import Random\nfrom contracts.events import Stage\nx = Random(7).random()\n"
    )
    written(tmp_path, "services/scheduling/rules/week.py", lines)
    assert checks.rules_that_do_more(tmp_path) == []


def test_a_relative_import_is_found(tmp_path: Path) -> None:
    written(tmp_path, "services/flagging/handlers.py", "from ..scheduling import store")
    assert checks.relative_imports(tmp_path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("consume.py", "from contracts.topics import TOPICS"),
        ("consume.py", "import services.ingest.app"),
        ("consume.py", "# one student at a time"),
        ("migrations/0001_outbox.sql", "CREATE TABLE household (id bigint);"),
    ],
)
def test_a_runtime_that_learns_the_domain_is_found(tmp_path: Path, path: str, text: str) -> None:
    written(tmp_path, f"services/runtime/{path}", text)
    assert checks.runtime_that_knows_the_domain(tmp_path)


@pytest.mark.parametrize("line", ["import fastapi", "from services.runtime import outbox", "import jsonschema"])
def test_a_contract_that_needs_more_than_pydantic_is_found(tmp_path: Path, line: str) -> None:
    written(tmp_path, "contracts/events/visits.py", f"import uuid\nimport pydantic\n{line}\n")
    assert len(checks.contracts_that_need_more_than_pydantic(tmp_path)) >= 1


class PhoneAnswered(Event):
    """Somebody answered; a careless author kept the number."""

    EVENT_TYPE: ClassVar[str] = "phone.answered.v1"
    event_type: Literal["phone.answered.v1"]
    phone: str


def test_a_phone_on_an_open_topic_is_found() -> None:
    open_topic = replace(TOPIC_BY_NAME["home-visits"], events=(PhoneAnswered,))
    assert checks.exposed_personal_data([open_topic]) == ["home-visits: phone.answered.v1 carries phone"]


def test_contacts_on_a_topic_that_forgot_to_say_so_are_found() -> None:
    forgetful = replace(TOPIC_BY_NAME["household-contacts"], personal_data=False)
    named = "address, contact_name, family_name, given_name, phones"
    found = checks.exposed_personal_data([forgetful])
    assert found == [f"household-contacts: household-contact.changed.v1 carries {named}"]


@pytest.mark.parametrize("reader", ["reporting", "flagging", "ingest"])
def test_a_reader_who_may_not_know_names_is_found(reader: str) -> None:
    curious = replace(TOPIC_BY_NAME["household-contacts"], consumers=("scheduling", reader))
    assert checks.exposed_personal_data([curious]) == [f"household-contacts: {reader} may not read personal data"]


@pytest.mark.parametrize(
    "line",
    [
        "print(batch)",
        "log.info(f'mark of {student_key}')",
        "log.info('mark of %s', student_key)",
        "log.warning('refused', payload=text)",
        "self.log.warning('refused', sent=record.value)",
        "log.info('household changed', household=contact.phones)",
        "logger.error('refused', reason=str(payload))",
        "log.exception('failed')",
        "log.error('failed', exc_info=True)",
        "structlog.get_logger().info('refused', original=b'')",
    ],
)
def test_a_talkative_line_is_found(tmp_path: Path, line: str) -> None:
    assert checks.talkative(written(tmp_path, "handlers.py", line))


@pytest.mark.parametrize(
    "line",
    [
        "log.info('flag raised', student_key=student_key, days_absent=18)",
        "log.debug('batch applied', group=group, records=len(batch))",
        "problem.error('not a log', value=value) if False else None",
    ],
)
def test_a_discreet_line_is_not(tmp_path: Path, line: str) -> None:
    assert checks.talkative(written(tmp_path, "handlers.py", line)) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://files.python" + "hosted.org/packages/x.whl",
        "--index" + "-url https://mirror.example/simple",
        "image: docker" + ".io/apache/kafka",
        "https://repo." + "maven.apache.org/maven2",
        "https://registry" + ".npm" + "js.org/htmx.org",
    ],
)
def test_a_registry_host_is_found(text: str) -> None:
    assert checks.foreign_words([("requirements.txt", f"# locked\n{text}\n")])[0].startswith(
        "requirements.txt:2: names"
    )


def test_maven_by_name_and_its_namespace_are_no_host() -> None:
    assert checks.foreign_words([("pom.xml", '<project xmlns="http://maven.apache.org/POM/4.0.0">')]) == []


def test_the_tree_is_really_read() -> None:
    names = {name for name, _ in checks.texts_of_the_tree(checks.ROOT)}
    assert {"contracts/topics.py", "pyproject.toml", "tests/architecture/test_seeded_checkers.py"} <= names


def test_a_file_that_has_outgrown_one_sitting_is_found(tmp_path: Path) -> None:
    written(tmp_path, "services/flagging/store/writes.py", "x = 1\n" * 401)
    written(tmp_path, "services/flagging/rules/absence.py", "x = 1\n" * 400)
    assert checks.long_files(tmp_path) == ["services/flagging/store/writes.py: 401 lines"]


def test_a_function_that_asks_for_more_than_seven_things_is_found(tmp_path: Path) -> None:
    seven, eight = "a, b, /, c, *, d, e, f, g", "a, b, *c, d, e, f, g, **h"
    text = (
        f"def calm({seven}): ...\n\n"
        f"class Desk:\n    def calm(self, {seven}): ...\n"
        f"    async def crowded(self, {eight}):\n        def inside({eight}): ...\n"
    )
    written(tmp_path, "services/scheduling/handlers/requests.py", text)
    written(tmp_path, "deploy/demo/replay.py", f"def replay({eight}): ...\n")
    assert checks.crowded_functions(tmp_path) == [
        "services/scheduling/handlers/requests.py:5: crowded has 8 parameters",
        "services/scheduling/handlers/requests.py:6: inside has 8 parameters",
        "deploy/demo/replay.py:1: replay has 8 parameters",
    ]
