"""Whatever is sent: a clear 4xx in the person's language, nothing lost, nothing broken, nothing run."""

import asyncio
import itertools
import json
from typing import Any
from uuid import uuid4

from tests import people
from tests.component.visit_events import contact
from tests.component.visitlog.conftest import VisitLog
from tests.component.visitlog.test_pages import LOCALLY, STARTED, VISIT, filled, scheduled

SCRIPT = "<script>alert('x')</script><img src=x onerror=alert(1)>{{ 7*7 }}'; DROP TABLE visit_log; --"
HUGE = "x" * 5000
WRONG = [
    "",
    " ",
    "\x00",
    "\x07",
    HUGE,
    SCRIPT,
    "💚" * 3000,
    "-1",
    "1e309",
    "9999-12-31",
    "0001-01-01",
    "NaN",
    "../../etc",
]
FIELDS = [
    "outcome", "place", "day", "start", "end", "pair", "efforts.0.travel_minutes", "efforts.0.minutes",
    "efforts.0.miles", "voice.hopes", "voice.obstacles", "small_step.what", "small_step.whose", "follow_up.kind",
    "follow_up.due", "took_part", "language", "interpreter", "left", "left_note", "referrals.0.resource",
    "referrals.0.status", "promises.0.what", "promises.0.due", "promises.0.whose", "extra.bus", "private_note",
    "written_at",
]  # fmt: skip


async def test_a_form_with_a_wrong_field_is_written_or_says_what_to_correct(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    for field, value in itertools.product(FIELDS, WRONG):
        answer = await browser.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled() | {field: value})
        assert answer.status_code in (303, 409, 422), (field, value[:20], answer.status_code)
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        if answer.status_code == 422 and "\x00" not in value:
            assert "She reads to her brother every evening." in answer.text, (field, value[:20])
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 1


async def test_what_a_family_said_is_shown_as_text_and_never_run(world: VisitLog) -> None:
    await world.deliver("household-contacts", contact(contact_name="<b>Rosa</b>", address=SCRIPT))
    await world.deliver("home-visits", scheduled())
    marisol, carl = await world.signed_in("marisol"), await world.signed_in("carl")
    said = {"voice.hopes": SCRIPT, "small_step.what": SCRIPT, "private_note": SCRIPT, "left_note": SCRIPT}
    visit = await marisol.get(f"/visits/{VISIT}")
    written = await marisol.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled(**said))
    log = written.headers["location"].split("?")[0]
    await marisol.post(f"{log}/amendments", data={"note": SCRIPT})
    pages = [
        visit,
        await marisol.get(log),
        await carl.get("/office?view=notes"),
        await carl.get("/office?view=questions"),
    ]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "<b>Rosa" not in page.text
        assert (
            "script-src" in page.headers["content-security-policy"]
            or "default-src 'self'" in (page.headers["content-security-policy"])
        )
    assert "{{ 7*7 }}" in pages[1].text
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 1


BODIES: list[Any] = [
    None,
    [],
    "text",
    {"visit_id": None},
    {"pair": {"a": 1}},
    {"started_at": {"$gt": ""}},
    {"voice": []},
    {"voice": {"hopes": "a\ud800"}},
    {"voice": {"hopes": "\u0000"}},
    {"extra": {"__proto__": "x"}},
    {"efforts": [{"visitor_id": "omar", "minutes": 10**40}]},
    {"efforts": [{"visitor_id": "dora"}]},
    {"referrals": [{"resource": SCRIPT}]},
    {"referrals": [{"resource": "food"}] * 21},
    {"promises": [{"what": "x", "due": "2026-13-45"}]},
    {"follow_up": {"due": "1999-01-01", "kind": "visit"}},
    {"started_at": "9999-12-31T23:59:59Z"},
    {"ended_at": STARTED.isoformat()},
    {"outcome": "family_not_home", "voice": {"hopes": "x"}},
    {"pair": ["marisol", "dora"]},
    {"wages": 10},
]


async def test_a_program_that_sends_nonsense_is_told_so(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    good = {
        "visit_id": str(VISIT),
        "outcome": "took_place",
        "started_at": STARTED.isoformat(),
        "ended_at": STARTED.replace(minute=59).isoformat(),
        "pair": ["marisol", "omar"],
    }
    for body in BODIES:
        sent = good | body if isinstance(body, dict) else body
        answer = await world.http.put(f"/v1/visit-logs/{uuid4()}", content=json.dumps(sent))
        assert answer.status_code in (400, 422), (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "script" not in answer.text
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 0


ADDRESSES = [
    ("GET", "/visits/not-an-id"),
    ("GET", f"/visits/{uuid4()}"),
    ("GET", "/visits/%00/log"),
    ("GET", "/logs/'; DROP TABLE visit_log; --"),
    ("GET", f"/logs/{uuid4()}?settled=<script>"),
    ("POST", "/visits/x/logs/y"),
    ("POST", f"/visits/{VISIT}/logs/not-an-id"),
    ("POST", f"/visits/{VISIT}/safety"),
    ("POST", f"/logs/{uuid4()}/amendments"),
    ("POST", f"/logs/{uuid4()}/referrals/{uuid4()}"),
    ("GET", "/v1/expected-logs?from=9999-12-31"),
    ("GET", "/v1/expected-logs?from=2020-01-01&until=2026-01-01"),
    ("GET", "/v1/expected-logs?limit=999999999999999999999"),
    ("GET", "/v1/expected-logs?due=Rosa"),
    ("GET", "/v1/expected-logs?after_start=0001-01-01T00:00:00%2B14:00&after_visit=x"),
    ("GET", "/v1/visit-logs/x"),
    ("GET", "/v1/payroll.csv?from=0001-01-01"),
    ("DELETE", f"/v1/visit-logs/{uuid4()}"),
]


async def test_a_wrong_address_leads_nowhere(world: VisitLog) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver("home-visits", scheduled())
    for name in ("marisol", "carl"):
        browser = await world.signed_in(name)
        for method, path in ADDRESSES:
            form = {"status": "x", "note": "x", "minutes": "x"} if method == "POST" else None
            answer = await browser.request(method, path, data=form)
            assert 400 <= answer.status_code < 500, (path, answer.status_code)
            assert "<script>" not in answer.text
            assert "+1 860" not in answer.text


async def test_too_much_is_refused_before_it_is_read_and_another_site_may_not_send(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    path = f"/visits/{VISIT}/logs/{uuid4()}"
    assert (await browser.post(path, data=filled(private_note="x" * 300_000))).status_code == 413
    assert (await world.http.put(f"/v1/visit-logs/{uuid4()}", content=b" " * 300_000)).status_code == 413
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Accept": "text/html"}
    assert (await browser.post(path, data=filled(), headers=elsewhere)).status_code == 403
    assert (await world.browser().post(path, data=filled())).headers["location"].startswith("/sign-in")
    assert (await world.browser().put(path, data=filled(), headers={"Accept": "application/json"})).status_code == 401
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 0


async def test_both_of_the_pair_write_at_once_and_one_log_stands(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    clients = [await world.signed_in(name) for name in ("marisol", "omar")] * 5
    answers = await asyncio.gather(
        *(client.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled()) for client in clients)
    )
    assert sorted(answer.status_code for answer in answers) == [303] + [409] * 9
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 1
    assert (await world.published()).count("visit.completed.v1") == 1


async def test_a_refusal_speaks_the_persons_language_to_programs_too(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = world.as_("marisol")
    browser.headers["Accept-Language"] = "es"
    browser.cookies.set("language", "es")
    answer = await browser.put(
        f"/v1/visit-logs/{uuid4()}",
        json={
            "visit_id": str(VISIT),
            "outcome": "took_place",
            "started_at": LOCALLY.isoformat(),
            "pair": ["marisol", "omar"],
        },
    )
    assert answer.json()["detail"] == "Una visita que se hizo tiene un final. Indique cuándo terminó."


async def test_what_visitors_write_and_who_they_are_reaches_no_event(world: VisitLog) -> None:
    canary = "Wilhelmina Canary, +1 860 555 0199"
    await world.deliver("household-contacts", contact(contact_name=canary, phones=[canary[-15:]], address=canary))
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    names = ("voice.hopes", "voice.strengths", "small_step.what", "left_note", "private_note", "promises.0.what")
    texts = dict.fromkeys(names, canary)
    promised = {"promises.0.due": (LOCALLY.date()).isoformat(), "promises.0.whose": "visitors"}
    written = await browser.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled(**texts, **promised))
    assert written.status_code == 303, written.text
    log = written.headers["location"].split("?")[0]
    await browser.post(f"{log}/amendments", data={"note": canary})
    rows = await world.pool.fetch("SELECT topic, key, payload FROM outbox")
    assert {row["topic"] for row in rows} == {"visit-log"}
    assert "Canary" not in str([dict(row) for row in rows])
    # The whole number: three digits alone stand in many a UUID.
    assert "555 0199" not in str([row["payload"] for row in rows])
    assert people.key_of("marisol") not in str(rows)
