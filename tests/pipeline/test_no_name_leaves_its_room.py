"""Names, phones, addresses and what families said are planted, everything is run, errors too: none is found outside."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from contracts.services import SERVICES
from contracts.topics import TOPICS, landing_topics
from deploy.commands import story
from services.runtime.broker_access import client_options
from tests import people
from tests.pipeline.canaries import (
    ADDRESS,
    CONTACT,
    NAMES,
    NUMBERS,
    PHONE,
    SAID,
    Found,
    in_database_of,
    in_details,
    in_logs,
    in_metrics,
    in_topics,
    search,
)
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.zones import HERE

HARTFORD = story.DISTRICT
NOW = datetime(2026, 10, 20, 15, tzinfo=HERE)
CONTACT_ROOMS = (*landing_topics(HARTFORD), "household-contacts", "attendance-rejected")
STRENGTHS, HOPES, WELL, WAY, LEFT, STEP, PROMISE, PRIVATE, EXTRA, AMENDED, PLACE = SAID


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All five services, on an afternoon of October."""
    running = await start_stack(tmp_path_factory.mktemp("canaries"), (HARTFORD,), ())
    running.it_is(NOW)
    try:
        await asyncio.gather(*(running.start(name) for name in SERVICES))
        yield running
    finally:
        await running.stop()


def client(stack: Stack, service: str, name: str) -> httpx.AsyncClient:
    """A person's way to a service."""
    address = stack.processes[service].address
    return httpx.AsyncClient(base_url=address, headers=people.headers(name), timeout=30)


def household(child: story.Child, **fields: Any) -> dict[str, Any]:
    """How the district says the household is reached."""
    return {
        "type": "household", "household": child.household, "contact_name": f"{NAMES[0]} {NAMES[1]}", "phones": [PHONE],
        "address": f"17 {ADDRESS} Street, Hartford", "language": "es", "interpreter_needed": False, "version": 1,
        "students": [{"student": child.number, "given_name": child.given_name, "family_name": NAMES[4]}],
    } | fields  # fmt: skip


def a_school() -> story.School:
    """The story's school, its two children under planted names and numbers."""
    school = story.School(today=NOW.date())
    school.first = story.Child(number=NUMBERS[0], given_name=NAMES[2], household=NUMBERS[2])
    school.second = story.Child(number=NUMBERS[1], given_name=NAMES[3], household=NUMBERS[3])
    return school


async def upload(stack: Stack, kind: str, records: list[dict[str, Any] | bytes]) -> str:
    """The district's office sends records; the receipt says, once all are dealt with, what came back."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    headers = {"Authorization": f"Bearer test-token-of-{HARTFORD}", "Content-Type": "application/x-ndjson"}
    said = ""
    async with httpx.AsyncClient(base_url=stack.processes["ingest"].address, headers=headers) as http:
        issued = await http.post(f"/v1/districts/{HARTFORD}/{kind}", content=b"\n".join(lines))
        assert issued.status_code == 202, issued.text

        async def dealt_with() -> bool:
            nonlocal said
            answer = await http.get(f"/v1/receipts/{issued.json()['id']}")
            said = answer.text
            return not answer.json()["pending"]

        await eventually(dealt_with, "the receipt")
    return said


async def hostile_records(stack: Stack, school: story.School) -> list[str]:
    """A district's mistakes with names in them, by upload and by its own producer, and a broken event behind ingest."""
    whole = json.dumps(household(school.first, version=2)).encode()
    mark = school.marks(school.first, (0,), "unexcused_absence")[0]
    nul, half = f"{NAMES[0]}\0{NAMES[1]}", f"{NAMES[0]}\ud800{NAMES[1]}"
    wrong: list[dict[str, Any] | bytes] = [
        whole[:-9],
        whole[: len(whole) // 2],
        household(school.first, version=NAMES[0]),
        household(school.first, language=NAMES[0]),
        household(school.first, phones=PHONE),
        household(school.first, version=3, contact_name=nul),
        household(school.first, version=4, contact_name=half),
        household(school.first, contact_name=NAMES[0] * 50),
        {"type": NAMES[0], NAMES[1]: NAMES[2]},
        NAMES[0].encode() + b"\xff\xfe",
    ]
    receipts = [await upload(stack, "roster", wrong)]
    marks: list[dict[str, Any] | bytes] = [
        mark | {"category": NAMES[0]}, mark | {"date": NAMES[0]}, mark | {"school": NAMES[0] * 20}, whole[:80],
    ]  # fmt: skip
    receipts.append(await upload(stack, "attendance", marks))

    producer = AIOKafkaProducer(**client_options(stack.kafka))
    await producer.start()
    name = NAMES[0].encode()
    await producer.send(landing_topics(HARTFORD)[1], whole[:-9], key=name, headers=[(NAMES[0], name)])
    await producer.send(landing_topics(HARTFORD)[0], whole[:99], key=name, headers=[("leap-receipt", name)])
    event = {
        "event_id": str(uuid4()), "event_type": "household-contact.changed.v1", "occurred_at": NOW.isoformat(),
        "district": HARTFORD, "household_key": str(uuid4()), "contact_name": NAMES[0], "phones": [PHONE],
        "address": ADDRESS, "language": "es", "interpreter_needed": False, "students": [], "source_version": 1,
    }  # fmt: skip
    for fields in (
        {"contact_name": nul}, {"contact_name": half}, {"address": {ADDRESS: PHONE}}, {"household_key": NAMES[0]},
        {"event_type": NAMES[0]}, {"source_version": NAMES[0]}, {"phones": PHONE}, {"language": NAMES[0]},
    ):  # fmt: skip
        value = event | fields
        await producer.send("household-contacts", json.dumps(value).encode(), key=name)
    await producer.send("household-contacts", whole[:-9], key=name, headers=[(NAMES[0], name)])
    await producer.stop()
    return receipts


async def agreed_visit(stack: Stack) -> tuple[str, str]:
    """The desk's work on the first child's request, every page with the family's name read; the request, the visit."""
    facts = {"district": HARTFORD, "languages": ["en", "es"]}
    valid = {"leap101_valid_from": "2026-01-01", "leap101_valid_until": "2027-12-31"}
    async with client(stack, "scheduling", "carl") as http:
        for visitor in story.PAIR:
            answer = await http.post("/v1/visitors", json=facts | valid | {"visitor_id": visitor})
            assert answer.status_code == 201, answer.text

    async with client(stack, "scheduling", "ana") as http:
        waiting: list[dict[str, Any]] = []

        async def both_wait() -> bool:
            waiting[:] = (await http.get(f"/v1/requests?district={HARTFORD}")).json()["requests"]
            return len(waiting) == 2

        await eventually(both_wait, "both requests are on the desk")
        request = f"/v1/requests/{waiting[0]['request_id']}"

        async def contact_known() -> bool:
            return NAMES[4] in (await http.post(f"{request}/contact-disclosure")).text

        await eventually(contact_known, "the desk knows how to reach the family")
        page = f"/requests/{waiting[0]['request_id']}"
        found = await http.post("/search", data={"words": NAMES[4]}, headers=people.SAME_ORIGIN)
        assert found.status_code == 200
        assert NAMES[4] in found.text
        for path in (page, f"{page}/household-sheet", "/queue", "/day"):
            assert (await http.get(path, headers=people.SAME_ORIGIN)).status_code == 200, path
        agreed = waiting[0]
        starts_at = (NOW + timedelta(days=2, hours=1)).isoformat()
        appointed = {"starts_at": starts_at, "place": "community", "place_text": PLACE, "pair": list(story.PAIR)}
        for what, body in (("claim", {}), ("answer", {"way": "call", "answer": "agreed"}), ("appointment", appointed)):
            answer = await http.post(f"{request}/{what}", json={"version": agreed["version"], **body})
            assert answer.status_code == 200, answer.text
            agreed = answer.json()
        letter = await http.get(f"/visits/{agreed['visit_id']}/letter", headers=people.SAME_ORIGIN)
        assert NAMES[0] in letter.text
    return waiting[0]["request_id"], agreed["visit_id"]


async def written_log(stack: Stack, visit_id: str) -> list[str]:
    """Marisol's log and what is added to it, and first every mistake with the family's words in it; the answers."""
    log: dict[str, Any] = {
        "visit_id": visit_id, "outcome": "took_place", "pair": list(story.PAIR), "place": "community",
        "started_at": (NOW - timedelta(minutes=50)).isoformat(), "ended_at": (NOW - timedelta(minutes=5)).isoformat(),
        "voice": {"strengths": STRENGTHS, "hopes": HOPES, "going_well": WELL, "in_the_way": WAY},
        "left_note": LEFT, "small_step": {"what": STEP}, "promises": [{"what": PROMISE, "due": "2026-10-30"}],
        "private_note": PRIVATE, "extra": {"bus": EXTRA}, "referrals": [{"resource": "food"}],
        "follow_up": {"kind": "call", "due": "2026-10-28"},
    }  # fmt: skip
    policy = {"extra_fields": [{"code": "bus", "kind": "text", "labels": {"en": "Bus", "es": "Bus"}}]}
    wrong = [
        log | {"outcome": HOPES}, log | {"started_at": HOPES}, log | {"family": HOPES}, log | {"visit_id": HOPES},
        log | {"left_note": LEFT * 200}, log | {"left_note": f"{LEFT}\0"}, log | {"extra": {"bus": f"{EXTRA}\0"}},
        log | {"outcome": "family_not_home"}, log | {"pair": [HOPES, "omar"]}, log | {"visit_id": str(uuid4())},
    ]  # fmt: skip
    async with client(stack, "scheduling", "carl") as carl:
        standing = (await carl.get(f"/v1/policies/{HARTFORD}")).json()
        decided = {"version": standing["version"], "effective_from": "2026-01-05", "log": standing["log"] | policy}
        answer = await carl.put(f"/v1/policies/{HARTFORD}", json=decided)
        assert answer.status_code == 200, answer.text
    async with client(stack, "visitlog", "carl") as carl:

        async def heard() -> bool:
            shown = (await carl.get(f"/v1/log-policies/{HARTFORD}")).json()
            return bool(shown["version"] == standing["version"] + 1)

        await eventually(heard, "the visit log knows of the decision")
    said: list[str] = []
    address = f"/v1/visit-logs/{uuid4()}"
    async with client(stack, "visitlog", "marisol") as marisol:

        async def expected() -> bool:
            return (await marisol.get(f"/visits/{visit_id}", headers={"Accept": "text/html"})).status_code == 200

        await eventually(expected, "the visit log knows of the visit")
        for body in wrong:
            answer = await marisol.put(f"/v1/visit-logs/{uuid4()}", json=body)
            assert 400 <= answer.status_code < 500, (body, answer.text)
            said.append(answer.text)
        broken = await marisol.put(address, content=json.dumps(log)[:-7])
        assert broken.status_code == 422
        said.append(broken.text)
        written = await marisol.put(address, json=log)
        assert written.status_code == 201, written.text
        for note, status in ((AMENDED, 201), (AMENDED * 2000, 422), (f"{AMENDED}\0", 422)):
            amended = await marisol.post(f"{address}/amendments", json={"note": note})
            assert amended.status_code == status, amended.text
        assert PRIVATE in (await marisol.get(address)).text
    return said


async def names_in_wrong_places(stack: Stack) -> None:
    """A family's name where a path, a question, a sign-in or a header should have something else."""
    name = NAMES[0]
    for process in stack.processes.values():
        async with httpx.AsyncClient(base_url=process.address) as http:
            for path in (
                f"/{name}",
                f"/v1/{name}/absence",
                f"/v1/requests/{name}",
                f"/queue?owner={name}&school={name}",
            ):
                await http.get(path, headers={"Authorization": f"Bearer {name}", "X-Request-Id": name})
                await http.request(name.upper(), path)
            await http.post(
                "/sign-in", data={"name": name, "key": name, "next": f"/{name}"}, headers=people.SAME_ORIGIN
            )
    for service, who, path in (
        ("scheduling", "ana", f"/queue?q={name}&owner={name}&after={name}"), ("scheduling", "ana", f"/requests/{name}"),
        ("scheduling", "ana", f"/v1/visitors/{name}"), ("flagging", "audit", f"/v1/students/{name}/absence"),
        ("reporting", "dana", f"/districts/hartford/schools/{name}"), ("visitlog", "marisol", f"/visits/{name}/log"),
    ):  # fmt: skip
        async with client(stack, service, who) as http:
            assert (await http.get(path)).status_code < 500, path


async def drained(stack: Stack) -> None:
    """Return once every service has read all it reads."""
    for service in SERVICES:
        landing = landing_topics(HARTFORD) if service == "ingest" else ()
        await stack.drained(service, [*landing, *(topic.name for topic in TOPICS if service in topic.consumers)])


async def test_no_planted_word_is_found_outside_the_rooms_it_belongs_in(stack: Stack) -> None:
    school = a_school()
    roster = [each for each in school.roster() if each["type"] != "household"]
    await upload(stack, "roster", [*roster, household(school.first), household(school.second)])
    await upload(
        stack,
        "attendance",
        [
            *school.marks(school.first, story.ABSENT, "unexcused_absence"),
            *school.marks(school.second, story.LATER_CORRECTED, "unexcused_absence"),
            *school.rolls(),
        ],
    )
    receipts = await hostile_records(stack, school)
    request_id, visit_id = await agreed_visit(stack)
    refusals = await written_log(stack, visit_id)
    await upload(stack, "attendance", [*school.marks(school.second, story.LATER_CORRECTED, "in_attendance")])
    await names_in_wrong_places(stack)
    await drained(stack)
    async with stack.sql("scheduling") as connection:
        stage = await connection.fetchval("SELECT stage FROM request WHERE request_id = $1", UUID(request_id))
        assert stage == "logged"
        assert await connection.fetchval("SELECT count(*) FROM dead_letter") > 0

    everything = (*CONTACT, *SAID)
    found: list[Found] = [
        *await in_logs(stack, everything),
        *await in_metrics(stack, everything),
        *await in_topics(stack, CONTACT, but=CONTACT_ROOMS),
        *await in_topics(stack, SAID),
        *await in_details(stack, everything),
        *await in_database_of(stack, "flagging", everything),
        *await in_database_of(stack, "reporting", everything),
        *(each for text in receipts for each in search(CONTACT, text.encode(), "a receipt")),
        *(each for text in refusals for each in search(SAID, text.encode(), "a refusal of a log")),
    ]
    assert found == []
    assert {each.word for each in await in_topics(stack, CONTACT)} == set(CONTACT), "not everything was planted"
    assert {each.word for each in await in_database_of(stack, "visitlog", SAID)} == {*SAID} - {PLACE}
    assert {each.word for each in await in_database_of(stack, "scheduling", [PLACE])} == {PLACE}


async def test_the_search_finds_a_leak_in_every_place(stack: Stack) -> None:
    leak = "Seededleak"
    scheduling = stack.processes["scheduling"]
    with scheduling.log.open("a") as log:
        log.write(f'{{"event": "claimed", "family": "{leak.upper()}"}}\n')
    producer = AIOKafkaProducer(**client_options(stack.kafka))
    await producer.start()
    wrapped = base64.b64encode(f"the family of {leak} said".encode())
    for fields in ({"key": leak.encode()}, {"headers": [("who", leak.encode())]}, {"value": wrapped}):
        await producer.send_and_wait("receipt-progress", **{"value": b"{}"} | fields)
    await producer.stop()
    async with stack.sql("reporting") as connection:
        insert = "INSERT INTO dead_letter (topic, partition, record_offset, headers, reason, detail)"
        await connection.execute(f"{insert} VALUES ('home-visits', 0, 0, '[]', 'handler', $1)", f"no household {leak}")

    found = [*await in_logs(stack, [leak]), *await in_topics(stack, [leak]), *await in_details(stack, [leak])]
    assert {each.where for each in found} == {
        "the log scheduling.log",
        "a key of receipt-progress",
        "a header of receipt-progress",
        "a value of receipt-progress",
        "reporting.dead_letter",
    }
    counted = f'http_requests_total{{route="/families/{leak}"}} 1.0'.encode()
    assert search([leak], counted, "metrics") == [Found(leak, "metrics")]
    assert search([PHONE], b"call 203.555.0187 today", "a log") == [Found(PHONE, "a log")]
