"""A household and a child are forgotten in a running state, their old files come again, an old copy is put back.

Nothing of them is found anywhere, and everybody else is as before.
"""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.services import SERVICES
from contracts.topics import COMPACTED, HOUSEHOLD_CONTACTS, PARTITIONS
from deploy.audit.rounds import Auditor
from deploy.commands import ending, forget, story
from deploy.commands.kept_of import NUMBER, Whom, kept_of
from deploy.commands.rebuild import services
from deploy.local.dumps import dump_schema, restore_schema
from deploy.local.topics import admin
from services.ingest import app as ingest
from services.runtime import clock
from services.runtime.broker_access import client_options
from services.runtime.rebuild.rebuild import Rebuild, rebuild
from services.runtime.rebuild.take_back import take_back
from services.visitlog import app as visitlog
from tests.pipeline.canaries import (
    ADDRESS,
    NAMES,
    NUMBERS,
    PHONE,
    SAID,
    Found,
    in_database_of,
    in_logs,
    in_metrics,
    in_these_topics,
    in_topics,
)
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.pipeline.test_no_name_leaves_its_room import (
    HARTFORD,
    NOW,
    a_school,
    agreed_visit,
    client,
    drained,
    household,
    upload,
    written_log,
)
from tests.zones import HERE

GONE = (NAMES[0], NAMES[1], NAMES[2], NAMES[4], ADDRESS, PHONE, NUMBERS[0], NUMBERS[2], *SAID)
"""Words of the first family and child; the second's stay."""
NEIGHBOUR: dict[str, Any] = {
    "contact_name": "Robin Keptington", "phones": ["860-555-0111"], "address": "1 Sample Street",
    "students": [{"student": NUMBERS[1], "given_name": NAMES[3], "family_name": "Keptington"}],
}  # fmt: skip
NEIGHBOUR_WORDS = ("Keptington", NAMES[3], NUMBERS[1], NUMBERS[3])
DAY_MS = "1000"
BROKER = "1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All five services, on an afternoon of October; where a day is a second for whoever cleans the log of names."""
    running = await start_stack(tmp_path_factory.mktemp("forgotten"), (HARTFORD,), ())
    running.it_is(NOW)
    clock.use(running.clock_file)
    configs = {"segment.ms": DAY_MS, "max.compaction.lag.ms": DAY_MS}
    async with admin(running.kafka) as kafka:
        await kafka.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC, HOUSEHOLD_CONTACTS, configs=configs | {"cleanup.policy": "compact"}
                ),
                # It rests for 15 seconds where it found nothing to clean.
                ConfigResource(ConfigResourceType.BROKER, BROKER, configs={"log.cleaner.backoff.ms": "200"}),
            ]
        )
    try:
        await asyncio.gather(*(running.start(name) for name in SERVICES))
        yield running
    finally:
        clock.use(None)
        await running.stop()


def places(stack: Stack) -> forget.Places:
    return forget.Places(
        broker=stack.kafka,
        admin_url=stack.database.address,
        ingest=stack.processes["ingest"].address,
        districts_file=stack.districts_file,
    )


async def kept(stack: Stack, whom: Whom) -> dict[str, int]:
    lines = await kept_of(whom, broker=stack.kafka, admin_url=stack.database.address)
    return {f"{each.where}: {each.kind}": each.rows for each in lines if each.becomes != NUMBER}


async def rows_of(stack: Stack, key: UUID, child: UUID) -> dict[str, list[str]]:
    """Everything that stands of a household and its child, row by row, in every service."""
    found: dict[str, list[str]] = {}
    for service in ("flagging", "scheduling", "visitlog", "reporting"):
        async with stack.sql(service) as connection:
            columns = await connection.fetch(
                """SELECT table_name, column_name FROM information_schema.columns
                   WHERE table_schema = current_schema() AND column_name IN ('household_key', 'student_key')
                     AND table_name IN (SELECT tablename FROM pg_tables WHERE schemaname = current_schema())"""
            )
            for table, column in columns:
                wanted = key if column == "household_key" else child
                rows = await connection.fetch(
                    f'SELECT each::text FROM "{table}" AS each WHERE {column} = $1 ORDER BY 1', wanted
                )
                found[f"{service}.{table}.{column}"] = [row[0] for row in rows]
    return found


async def everywhere(stack: Stack, words: tuple[str, ...]) -> list[Found]:
    """Search tables, logs, metrics and topics at once."""
    found = [*await in_logs(stack, words), *await in_metrics(stack, words), *await in_topics(stack, words)]
    for service in SERVICES:
        found += await in_database_of(stack, service, words)
    return found


async def parts_close(stack: Stack) -> None:
    """Write into every partition with names, as ingest's timer does where somebody was forgotten."""
    producer = AIOKafkaProducer(**client_options(stack.kafka))
    await producer.start()
    for partition in range(PARTITIONS):
        await producer.send_and_wait(HOUSEHOLD_CONTACTS, None, key=str(UUID(int=0)).encode(), partition=partition)
    await producer.stop()


async def cut(stack: Stack) -> None:
    """Return once nothing waits to be cleared."""

    async def nothing_waits() -> bool:
        async with stack.sql("ingest") as connection:
            return not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM cut_wanted) OR EXISTS (SELECT FROM unnaming_wanted)"
            )

    await eventually(nothing_waits, "copies are cleared")


async def test_forgotten_is_gone_and_stays_gone(stack: Stack, tmp_path: Path) -> None:
    school = a_school()
    families: list[Any] = [household(school.first), household(school.second, **NEIGHBOUR)]
    # The first of the two on the desk is the one that is forgotten later.
    of_first = tuple(range(len(school.days)))
    roster: list[Any] = [each for each in school.roster() if each["type"] != "household"]
    marks: list[Any] = [
        *school.marks(school.first, of_first, "unexcused_absence"),
        *school.marks(school.second, story.ABSENT, "unexcused_absence"),
    ]
    wrong: list[Any] = [household(school.first, phones=PHONE), household(school.first, version=NAMES[0])]
    await upload(stack, "roster", [*roster, *families, *wrong])
    await upload(stack, "attendance", [*marks, *school.rolls()])
    _, visit_id = await agreed_visit(stack)
    await written_log(stack, visit_id)
    await drained(stack)
    assert {each.word for each in await everywhere(stack, GONE)} == set(GONE), "not everything was planted"

    family = forget.whom_of(places(stack), district=HARTFORD, kind="household", numbers=[NUMBERS[2]])
    child = forget.whom_of(places(stack), district=HARTFORD, kind="student", numbers=[NUMBERS[0]])
    others = [
        forget.whom_of(places(stack), district=HARTFORD, kind=kind, numbers=[number]).keys[0]
        for kind, number in (("household", NUMBERS[3]), ("student", NUMBERS[1]))
    ]
    before = await rows_of(stack, *others)
    assert sum(map(bool, before.values())) > 10
    listed = await kept(stack, family) | await kept(stack, child)
    assert all(listed[each] for each in (
        "visitlog: logs with words and notes", "visitlog: additions to logs", "scheduling: places where they were met",
        "landing topics: records with the number", "attendance-rejected: copies with the number",
        "household-contacts: records that stand", "flagging: enrolments, which end or never were",
    )), listed  # fmt: skip
    old_copy = tmp_path / "visitlog.dump"
    await asyncio.to_thread(dump_schema, stack.database.address, "visitlog", old_copy)

    said = [
        forget.record_of(whom, version=await forget.newest_version(whom, stack.database.address), figures=None)
        for whom in (family, child)
    ]
    assert json.loads(await upload(stack, "roster", list(said)))["rejected"] == []
    for whom in (family, child):
        await forget.until_forgotten(whom, places(stack))
    again = json.loads(await upload(stack, "roster", [*roster, *families, *wrong]))
    refused_rows = {row["row"] for row in again["rejected"]}
    assert refused_rows == {2, 4, 6, 7}, "the child's enrolment, the family's data, and what is wrong with it"
    refused = json.loads(await upload(stack, "attendance", marks))
    assert refused["rejected_rows"] == len(of_first)
    await drained(stack)
    await cut(stack)

    await put_back(stack, old_copy)
    await drained(stack)
    await parts_close(stack)
    await asyncio.sleep(1.1)  # a part of the log closes by age: a day, here a second
    await parts_close(stack)

    async def cleaned() -> bool:
        return await in_these_topics(stack, GONE, [HOUSEHOLD_CONTACTS]) == []

    await eventually(cleaned, "the compacted topic is cleaned", 120)
    made_anew = await rebuild(flagging_anew(stack))
    assert (made_anew.switched, made_anew.differences) == (True, [])
    assert await everywhere(stack, GONE) == []
    left = {name: rows for whom in (family, child) for name, rows in (await kept(stack, whom)).items() if rows}
    assert left == {}
    assert await rows_of(stack, *others) == before
    assert {each.word for each in await everywhere(stack, NEIGHBOUR_WORDS)} >= {"Keptington", NAMES[3]}
    await phones_say_no_word(stack, visit_id)
    await checkers_understand(stack)


def flagging_anew(stack: Stack) -> Rebuild:
    service, kept, own_ways = services()["flagging"]
    return Rebuild(
        service=service,
        broker=stack.door.access("flagging"),
        database_url=stack.urls["flagging"],
        admin_url=stack.database.address,
        zone=HERE,
        kept=kept,
        compacted=COMPACTED,
        own_ways=own_ways,
    )


async def displaced(stack: Stack) -> set[str]:
    async with stack.sql("flagging") as connection:
        rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '(_next|_old)$'")
        return {row[0] for row in rows}


async def put_back(stack: Stack, old_copy: Path) -> None:
    """Put the visit log's tables back to before anybody was forgotten, as `leap restore` does."""
    stack.processes.pop("visitlog").stop()
    url = stack.urls["visitlog"]
    await restore_schema(stack.database.address, "visitlog", old_copy)
    async with stack.sql("visitlog") as connection:
        assert await connection.fetchval("SELECT count(*) FROM amendment") > 0
    await take_back(visitlog.service, broker=stack.door.access("visitlog"), database_url=url, zone=HERE)
    await stack.start("visitlog")


async def phones_say_no_word(stack: Stack, visit_id: str) -> None:
    """A phone that was offline sends the log again, and an addition; and shows its pages."""
    async with client(stack, "visitlog", "marisol") as marisol:
        shown = (await marisol.get(f"/visits/{visit_id}", headers={"Accept": "text/html"})).text
        assert not [word for word in GONE if word in shown]
        async with stack.sql("visitlog") as connection:
            ((log_id, body),) = await connection.fetch("SELECT log_id, body FROM visit_log")
        log = json.loads(body) | {"voice": {"hopes": SAID[1]}, "private_note": SAID[7]}
        sent = await marisol.put(f"/v1/visit-logs/{log_id}", json=log)
        assert (sent.status_code, sent.json().get("words")) == (200, "not kept"), sent.text
        added = await marisol.post(f"/v1/visit-logs/{log_id}/amendments", json={"note": SAID[9]})
        assert added.status_code == 410, added.text
    assert await in_database_of(stack, "visitlog", SAID) == []


async def checkers_understand(stack: Stack) -> None:
    """The landing logs were cut: books close, no partition stops, and the auditor finds nothing wrong."""
    async with stack.sql("ingest") as connection:
        assert await connection.fetchval("SELECT count(*) FROM stopped_partition") == 0
        assert await connection.fetchval("SELECT count(*) FROM passed_over") == 0
    auditor = Auditor(
        broker=stack.kafka,
        database_url=stack.urls["flagging"],
        districts_file=stack.districts_file,
        share=1.0,
        pause=0.1,
    )
    assert await auditor.recount(HARTFORD, seed=b"s") == []


async def test_an_ingest_put_back_to_before_a_cut_goes_on_behind_it(stack: Stack, tmp_path: Path) -> None:
    copy = tmp_path / "ingest.dump"
    await asyncio.to_thread(dump_schema, stack.database.address, "ingest", copy)
    school = story.Child(number="S9", given_name="Wren", household="SH9")
    await upload(stack, "roster", [household(school, contact_name="Else")])
    await upload(stack, "roster", [{"type": "household_forgotten", "household": "SH9", "version": 5}])
    await cut(stack)

    stack.processes.pop("ingest").stop()
    url = stack.urls["ingest"]
    await restore_schema(stack.database.address, "ingest", copy)
    found = await take_back(ingest.service, broker=stack.door.access("ingest"), database_url=url, zone=HERE)
    assert found["forgotten on request"] >= 1
    await stack.start("ingest")
    back = json.loads(await upload(stack, "roster", [household(school, contact_name="Else")]))
    assert [row["reason"] for row in back["rejected"]] == ["out_of_range"]
    async with stack.sql("ingest") as connection:
        assert await connection.fetchval("SELECT count(*) FROM passed_over") == 0
        assert await connection.fetchval("SELECT count(*) FROM stopped_partition") == 0


async def test_the_end_of_a_contract_leaves_nothing_of_it(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "end"
    folder.mkdir()
    assert await displaced(stack) == {"flagging_old"}
    manifest = await ending.export(HARTFORD, folder, places(stack))
    assert manifest["rows"]["visitlog/visit_log"] == 1
    assert manifest["rows"]["scheduling/household_contact"] >= 1
    with zipfile.ZipFile(folder / manifest["file"]) as packed:
        assert "Keptington" in packed.read("scheduling/household_contact.ndjson").decode()
        assert json.loads(packed.read("manifest.json"))["rows"] == manifest["rows"]

    async def breaks_off(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(ending, "_remove_topics", breaks_off)
        with pytest.raises(ConnectionError):
            await ending.erase(HARTFORD, folder, places(stack), manifest)
    assert await ending.export(HARTFORD, folder, places(stack)) == manifest, "the export of before"
    certificate = await ending.erase(HARTFORD, folder, places(stack), manifest)
    assert await displaced(stack) == set()

    assert not any((await ending.count(HARTFORD, stack.database.address)).values())
    assert certificate["erased"]["scheduling/request"] == 2
    assert "CERTIFICATE OF ERASURE" in (folder / "certificate.txt").read_text()
    assert [each for service in SERVICES for each in await in_database_of(stack, service, NEIGHBOUR_WORDS)] == []
    await parts_close(stack)
    await asyncio.sleep(1.1)
    await parts_close(stack)

    async def cleaned() -> bool:
        return await in_these_topics(stack, NEIGHBOUR_WORDS, [HOUSEHOLD_CONTACTS]) == []

    await eventually(cleaned, "the compacted topic is cleaned", 120)
