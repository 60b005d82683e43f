"""The pages as a browser without JavaScript has them."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import events
from tests.component.visit_events import contact, of_visit
from tests.component.visitlog.conftest import VisitLog
from tests.zones import HERE

VISIT = UUID(int=0x0D << 120 | 1)
LOCALLY = datetime.combine(datetime.now(HERE).date() - timedelta(days=1), time(16), HERE)
STARTED = LOCALLY.astimezone(UTC)


def scheduled(**fields: Any) -> events.Event:
    """Marisol's and Omar's visit to Rosa Example, yesterday."""
    return of_visit(
        events.VisitScheduled, **{"pair": ["marisol", "omar"], "starts_at": STARTED, "minutes": 45} | fields
    )


def filled(**fields: Any) -> dict[str, Any]:
    """The form as it is filled in after a visit that took place."""
    end = (LOCALLY + timedelta(minutes=40)).strftime("%H:%M")
    return {
        "outcome": "took_place",
        "place": "home",
        "day": LOCALLY.date().isoformat(),
        "start": LOCALLY.strftime("%H:%M"),
        "end": end,
        "pair": ["marisol", "omar"],
        "efforts.0.travel_minutes": "24",
        "efforts.0.miles": "6.5",
        "efforts.1.travel_minutes": "",
        "efforts.1.miles": "",
        "voice.strengths": "She reads to her brother every evening.",
        "voice.obstacles": ["barriers", "aversion"],
        "small_step.what": "Clothes out the night before",
        "small_step.whose": "student",
        "follow_up.kind": "visit",
        "follow_up.due": (LOCALLY.date() + timedelta(days=14)).isoformat(),
        "took_part": ["mother", "student"],
        "language": "es",
        "interpreter": "none",
        "referrals.0.resource": "winter_clothing",
        "referrals.0.status": "offered",
        "private_note": "Please call the nurse.",
    } | fields


async def test_a_visitor_finds_the_visit_fills_in_the_form_and_reads_the_log(world: VisitLog) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")

    listed = await browser.get("/")
    assert "Rosa Example" in listed.text
    assert f"/visits/{VISIT}/log" in listed.text
    assert "+1 860 555 0100" in (await browser.get(f"/visits/{VISIT}")).text
    form = await browser.get(f"/visits/{VISIT}/log")
    action = re.search(r'action="(/visits/[^"]+/logs/[^"]+)"', form.text)
    assert action is not None
    written = await browser.post(action[1], data=filled())
    assert written.status_code == 303, written.text
    log = await browser.get(written.headers["location"])
    assert log.status_code == 200
    for said in ("She reads to her brother every evening.", "Clothes out the night before", "Winter clothing", "6.5"):
        assert said in log.text
    assert await world.published() == ["visit.completed.v1", "follow-up.promised.v1", "referral.made.v1"]
    payloads = await world.payloads()
    assert "brother" not in payloads
    assert '"travel_minutes":24' in payloads
    assert "+1 860 555 0100" not in (await browser.get(f"/visits/{VISIT}")).text
    assert (await browser.get(f"/visits/{VISIT}/log")).headers["location"] == written.headers["location"].split("?")[0]
    seen = await world.pool.fetch("SELECT person, role, what, purpose, door FROM disclosed")
    assert {(row["person"], *row["what"]) for row in seen} == {
        ("marisol", "words", "note"),
        ("marisol", "words"),
        ("marisol", "contact"),
    }
    assert {tuple(row)[3:] for row in seen} == {("own_visit", "page")}


async def test_the_form_sent_twice_is_one_log_and_by_the_outbox_known(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    path = f"/visits/{VISIT}/logs/{uuid4()}"
    outbox = {"Accept": "application/problem+json"}

    assert (await browser.put(path, data=filled(), headers=outbox)).status_code == 201
    assert (await browser.put(path, data=filled(written_at="2026-10-05T12:00:00Z"), headers=outbox)).status_code == 200
    assert (await browser.post(path, data=filled())).status_code == 303
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 1


async def test_what_was_typed_is_still_there_beside_what_to_correct(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    wrong = filled(end="", day="never") | {"efforts.0.miles": "many"}

    answer = await browser.post(f"/visits/{VISIT}/logs/{uuid4()}", data=wrong)

    assert answer.status_code == 422
    for said in ("Choose a day.", "Write miles like 12.5.", "She reads to her brother", "Please call the nurse."):
        assert said in answer.text
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 0


async def test_who_stepped_in_is_chosen_trained_paid_and_kept_when_something_needs_correcting(world: VisitLog) -> None:
    cem = {
        "event_id": uuid4(),
        "event_type": "visitor.changed.v1",
        "occurred_at": STARTED,
        "district": "hartford",
        "visitor_id": "cem",
        "affiliation": "agency",
        "languages": ["es"],
        "leap101_valid_from": LOCALLY.date() - timedelta(days=90),
        "leap101_valid_until": LOCALLY.date(),
        "version": 1,
    }
    newcomer = cem | {
        "event_id": uuid4(),
        "visitor_id": "eva",
        "leap101_valid_from": LOCALLY.date() + timedelta(days=1),
    }
    newcomer |= {"leap101_valid_until": LOCALLY.date() + timedelta(days=90)}
    await world.deliver("visitors", *(events.VisitorChanged.model_validate(each) for each in (cem, newcomer)))
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    path = f"/visits/{VISIT}/logs/{uuid4()}"

    wrong = await browser.post(path, data=filled(pair=["marisol", "cem"], end=""))
    assert wrong.status_code == 422
    assert '<option value="cem" selected>' in wrong.text
    untrained = await browser.post(path, data=filled(pair=["marisol", "eva"]))
    assert "LEAP 101" in untrained.text
    assert (await browser.post(path, data=filled(pair=["marisol", "cem"]))).status_code == 303
    assert await world.pool.fetchval("SELECT array_agg(visitor_id ORDER BY visitor_id) FROM effort") == [
        "cem",
        "marisol",
    ]


async def test_the_second_log_of_one_door_shows_both_and_becomes_an_amendment(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    marisol, omar = await world.signed_in("marisol"), await world.signed_in("omar")
    first, second = uuid4(), uuid4()
    await marisol.post(f"/visits/{VISIT}/logs/{first}", data=filled())

    both = await omar.post(f"/visits/{VISIT}/logs/{second}", data=filled(**{"voice.hopes": "A job in a bakery"}))

    assert both.status_code == 409
    assert "A job in a bakery" in both.text
    assert "She reads to her brother" in both.text
    assert "Please call the nurse." in both.text  # his own note is his to see
    added = await omar.post(
        f"/logs/{first}/amendments",
        data={"note": "hopes: A job in a bakery", "amendment_id": second, "settled": second},
    )
    again = await omar.post(f"/logs/{first}/amendments", data={"note": "once more", "amendment_id": second})
    assert (added.status_code, again.status_code) == (303, 303)
    assert await world.pool.fetchval("SELECT count(*) FROM amendment") == 1
    shown = (await omar.get(added.headers["location"])).text
    assert "A job in a bakery" in shown
    assert "Please call the nurse." not in shown


async def test_an_attempt_ends_after_place_and_time_whatever_was_typed_before(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("omar")
    path = f"/visits/{VISIT}/logs/{uuid4()}"
    assert (await browser.post(path, data=filled(outcome="family_not_home", end=""))).status_code == 303
    assert (await world.published())[0] == "visit.attempted.v1"
    assert "brother" not in await world.pool.fetchval("SELECT body FROM visit_log")


async def test_a_first_visit_asks_for_voice_and_next_step_and_a_later_one_for_all(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    assert "A first visit is for listening." in (await browser.get(f"/visits/{VISIT}/log")).text
    await browser.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled())

    next_visit = UUID(int=0x0D << 120 | 2)
    await world.deliver(
        "home-visits", scheduled(visit_id=next_visit, version=5, starts_at=STARTED + timedelta(hours=20))
    )

    assert "A first visit is for listening." not in (await browser.get(f"/visits/{next_visit}/log")).text
    assert "Clothes out the night before" in (await browser.get(f"/visits/{next_visit}")).text


async def test_the_pages_speak_spanish(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    browser = await world.signed_in("marisol")
    browser.cookies.set("language", "es")
    assert 'lang="es"' in (await browser.get("/")).text
    assert "¿Qué pasó?" in (await browser.get(f"/visits/{VISIT}/log")).text
    refused = await browser.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled(end="00:01"))
    assert "El final debe ser posterior al comienzo." in refused.text
    unread = await browser.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled(day="nunca"))
    assert "Elija un día." in unread.text


@pytest.mark.parametrize("stranger", ["dora", "ana", "dana", "rosa", "state", "ops"])
async def test_for_everybody_else_neither_visit_nor_log_exists(world: VisitLog, stranger: str) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver("home-visits", scheduled())
    marisol = await world.signed_in("marisol")
    log_id = uuid4()
    await marisol.post(f"/visits/{VISIT}/logs/{log_id}", data=filled())
    browser = await world.signed_in(stranger)

    for path in (f"/visits/{VISIT}", f"/visits/{VISIT}/log", f"/logs/{log_id}", "/office"):
        answer = await browser.get(path)
        assert answer.status_code == 404, path
        assert "+1 860" not in answer.text
    for path, form in (
        (f"/visits/{VISIT}/logs/{log_id}", filled()),
        (f"/visits/{VISIT}/logs/{uuid4()}", filled()),
        (f"/logs/{log_id}/amendments", {"note": "mine"}),
        (f"/visits/{VISIT}/safety", {"minutes": "60"}),
        ("/office/rates", {"district": "hartford"}),
    ):
        assert (await browser.post(path, data=form)).status_code == 404, path
    assert await world.pool.fetchval("SELECT count(*) FROM amendment") == 0


async def test_the_coordinator_sees_what_is_missing_and_who_is_still_out(world: VisitLog) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver("home-visits", scheduled())
    marisol, carl = await world.signed_in("marisol"), await world.signed_in("carl")
    await marisol.post(f"/visits/{VISIT}/safety", data={"minutes": "60"})

    page = await carl.get("/office")
    assert page.status_code == 200
    assert "Marisol Example" in page.text
    assert "out by" in page.text
    await marisol.post(f"/visits/{VISIT}/safe")
    assert "out by" not in (await carl.get("/office")).text
    for view in ("questions", "notes", "pay", "nonsense"):
        assert (await carl.get(f"/office?view={view}")).status_code == 200


async def test_rates_are_set_on_the_page_and_priced_in_the_export(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    carl, marisol = await world.signed_in("carl"), await world.signed_in("marisol")
    await marisol.post(f"/visits/{VISIT}/logs/{uuid4()}", data=filled())
    rate = {
        "district": "hartford",
        "effective_from": "2026-07-01",
        "hourly": "30",
        "travel_hourly": "20.00",
        "mile": "72.5",
        "show_up": "15",
    }
    assert (await carl.post("/office/rates", data=rate | {"hourly": "a lot"})).status_code == 422
    assert (await carl.post("/office/rates", data=rate)).status_code == 303
    assert "72.5 ¢" in (await carl.get("/office?view=pay")).text

    export = await carl.get("/v1/payroll.csv")
    header, first, second = export.text.splitlines()
    assert header.startswith("district,visitor_id,visited_on")
    # 40 minutes at $30, 24 at $20, 6.5 miles at 72.5 cents.
    assert first.endswith(",40,24,6.5,20.00,8.00,4.71,0.00,32.71,2026-07-01")
    assert second.endswith(",40,0,0.0,20.00,0.00,0.00,0.00,20.00,2026-07-01")
