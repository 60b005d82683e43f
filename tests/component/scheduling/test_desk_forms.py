"""Every form of the desk with missing, wrong, huge, foreign and hostile values: a clear 4xx, nothing lost, no 5xx."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.component.scheduling.waiting import register, today, waiting_families
from tests.component.visit_events import World, household
from tests.people import SAME_ORIGIN, sign_in

HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE request; --",
    "{{ 7 * 7 }}",
    "%(claimed_by)s %s %d",
    "../../etc/passwd",
    "א‮ ٣ 𝟛 ｔ",
    "9" * 400,
    "-1",
    "0",
    "NaN",
    "1e9",
    "true",
    "null",
    "2026-02-30",
    "99:99",
)

# Each form's fields as a person would fill them in; the tests spoil one at a time.
FORMS: dict[str, dict[str, str]] = {
    "claim": {},
    "release": {},
    "undo": {},
    "take-over": {"reason": "holder_away"},
    "contact": {"way": "call", "answer": "later", "contact_again_on": "2027-01-11"},
    "close": {"because": "goal_met"},
    "reopening": {"wished_by": "family"},
    "confirmation": {},
    "cancellation": {},
    "pairs": {
        "day": "2027-01-11",
        "time": "16:00",
        "until": "19:00",
        "minutes": "60",
        "place": "home",
        "language": "es",
        "interpreter": "",
    },
    "appointment": {
        "day": "2027-01-11",
        "time": "16:00",
        "minutes": "60",
        "place": "home",
        "language": "es",
        "interpreter": "",
        "first": "marisol",
        "second": "omar",
    },
}


async def at_the_desk(world: World, name: str = "ana", language: str = "en") -> httpx.AsyncClient:
    """A browser of a person who signed in."""
    browser = world.acting_as(name)
    del browser.headers["Authorization"]
    browser.headers.update(SAME_ORIGIN)
    assert (await browser.post("/sign-in", data=sign_in(name))).status_code == 303
    assert (await browser.post("/language", data={"language": language})).status_code == 303
    return browser


async def a_request(world: World) -> dict[str, Any]:
    """One of the requests that wait, with visitors who could go."""
    await waiting_families(world.deliver, 2)
    await register(world.pool, "marisol", "omar", languages=("en", "es"))
    row = await world.pool.fetchrow("SELECT * FROM request WHERE household_key = $1", household(0))
    assert row is not None
    return dict(row)


async def standing(world: World) -> list[Any]:
    return [tuple(row) for row in await world.pool.fetch("SELECT request_id, version, stage FROM request ORDER BY 1")]


@pytest.mark.parametrize("form", FORMS)
async def test_a_spoilt_field_is_refused_and_changes_nothing(world: World, form: str) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world, language="es")
    before = await standing(world)
    filled = {"version": str(request["version"]), **FORMS[form]}

    for field in filled:
        for value in ("", *HOSTILE):
            answer = await browser.post(f"/requests/{request['request_id']}/{form}", data=filled | {field: value})
            assert answer.status_code < 500, (field, value)
            if answer.status_code == 303:
                # Not every value spoils every field: an empty language is the household's own.
                before = await standing(world)
                continue
            assert answer.status_code in (200, 409, 422), (field, value, answer.status_code)
            assert "<script>alert" not in answer.text
            assert '<html lang="es"' in answer.text
    assert await standing(world) == before
    assert (await browser.get("/queue")).status_code == 200


@pytest.mark.parametrize("form", FORMS)
async def test_an_empty_form_says_what_is_missing_in_spanish(world: World, form: str) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world, language="es")
    before = await standing(world)
    answer = await browser.post(f"/requests/{request['request_id']}/{form}", data={"version": ""})
    assert answer.status_code == 422
    assert "Todavía no se cambió nada." in answer.text
    assert await standing(world) == before


async def test_what_was_typed_comes_back(world: World) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world)
    typed = FORMS["appointment"] | {"version": "1", "place": "community", "place_text": "Park Library, <2nd> floor"}
    answer = await browser.post(
        f"/requests/{request['request_id']}/appointment", data=typed | {"version": str(request["version"])}
    )
    assert answer.status_code == 422, "the family has not agreed yet"
    assert "Park Library, &lt;2nd&gt; floor" in answer.text
    assert 'value="2027-01-11"' in answer.text
    assert '<option value="omar" selected>' in answer.text


async def test_a_foreign_id_is_nobodys_request_for_every_form_and_page(world: World) -> None:
    request = await a_request(world)
    bea = await at_the_desk(world, "bea")
    unknown = uuid4()
    for form, filled in FORMS.items():
        foreign = await bea.post(f"/requests/{request['request_id']}/{form}", data={"version": "1", **filled})
        missing = await bea.post(f"/requests/{unknown}/{form}", data={"version": "1", **filled})
        assert (foreign.status_code, missing.status_code) == (404, 404), form
    for path in ("", "/appointment", "/version", "/household-sheet"):
        for key in (request["request_id"], unknown, "no-id", "1" * 300, "%00", "..%2f.."):
            assert (await bea.get(f"/requests/{key}{path}")).status_code in (404, 405), (key, path)
    assert (await bea.get(f"/visits/{uuid4()}/letter")).status_code == 404
    assert (await bea.get("/visitors/marisol")).status_code == 404
    assert (await bea.get("/policy?district=hartford")).status_code == 404
    assert (await bea.get("/day?district=hartford")).status_code == 404
    assert (await bea.get(f"/queue/rows?ids={request['request_id']}")).text.strip() == ""


async def test_only_schedulers_and_coordinators_find_a_desk(world: World) -> None:
    request = await a_request(world)
    for name in ("marisol", "dana", "rosa", "state", "audit", "ops"):
        browser = await at_the_desk(world, name)
        for path in ("/queue", "/day", "/visitors", "/policy", "/events", f"/requests/{request['request_id']}"):
            assert (await browser.get(path)).status_code == 404, (name, path)
        claim = await browser.post(f"/requests/{request['request_id']}/claim", data={"version": "1"})
        assert claim.status_code == 404, name


async def test_nobody_is_led_to_the_sign_in_and_another_site_is_refused(world: World) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world)
    elsewhere = await browser.post(
        f"/requests/{request['request_id']}/claim",
        data={"version": str(request["version"])},
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
    )
    assert elsewhere.status_code == 403
    browser.cookies.clear()
    asked = await browser.get("/queue")
    assert (asked.status_code, asked.headers["location"].split("?")[0]) == (303, "/sign-in")


@pytest.mark.parametrize(
    "query",
    [
        "stage=<script>",
        "stage=new'--",
        "school=%00",
        "grades=all",
        "language=english",
        "owner=" + "x" * 500,
        "age=old",
        "interpreter=maybe",
        "promise=1",
        "after=1",
        "after=2.0.00000000-0000-0000-0000-000000000000",
        "after=1.99999999999.00000000-0000-0000-0000-000000000000",
    ],
)
async def test_a_view_that_no_filter_has_is_refused_in_words(world: World, query: str) -> None:
    browser = await at_the_desk(world, language="es")
    answer = await browser.get(f"/queue?{query}")
    assert answer.status_code == 422
    assert "<script>" not in answer.text.partition("<main")[2]
    assert "cola" in answer.text


async def test_ids_that_are_none_and_far_too_many_are_refused(world: World) -> None:
    browser = await at_the_desk(world)
    assert (await browser.get("/queue/rows?ids=a,b")).status_code == 422
    assert (await browser.get("/queue/rows")).status_code == 422
    assert (await browser.get("/queue/rows?ids=" + ",".join(str(uuid4()) for _ in range(26)))).status_code == 422
    assert (await browser.get(f"/queue/rows?ids={uuid4()}")).status_code == 200
    assert (await browser.get(f"/queue/rows?ids={uuid4()}.7,{uuid4()}.<script>")).status_code == 200


async def test_pages_that_ask_for_the_same_change_share_one_reading_and_see_only_their_own(world: World) -> None:
    request = await a_request(world)
    ana, ben, bea = [await at_the_desk(world, name) for name in ("ana", "ben", "bea")]
    claimed = await ana.post(f"/requests/{request['request_id']}/claim", data={"version": str(request["version"])})
    assert claimed.status_code == 303
    asked = f"/queue/rows?ids={request['request_id']}.{request['version'] + 1}"
    pages = await asyncio.gather(*(who.get(asked) for who in (ana, ben, bea) for _ in range(20)))
    shown = [page.text for page in pages]
    assert all("You, 15 min left" in text for text in shown[:20])
    assert all("Ana Example, 15 min left" in text for text in shown[20:40])
    assert {text.strip() for text in shown[40:]} == {""}


async def test_huge_forms_other_kinds_and_wrong_bytes_are_refused(world: World) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world)
    address = f"/requests/{request['request_id']}/contact"
    plain = {"content-type": "application/x-www-form-urlencoded"}
    answers = [
        await browser.post(address, content="way=" + "x" * 100_000, headers=plain),
        await browser.post(address, content="&".join(f"f{n}=1" for n in range(5000)), headers=plain),
        await browser.post(address, json={"version": 1}),
        await browser.post(
            address, content=b"--x\r\n\r\n", headers={"content-type": "multipart/form-data; boundary=x"}
        ),
        await browser.post(address, content=b"way=\xff\xfe&version=%ff", headers=plain),
        await browser.post(address, content="version=%00", headers=plain),
        await browser.post("/search", data={"words": "x" * 5000}),
        await browser.post("/search", data={"words": "x"}),
        await browser.post("/shortcuts", data={"shortcuts": "perhaps"}),
    ]
    assert [answer.status_code for answer in answers] == [413, 422, 415, 415, 422, 422, 422, 422, 422]


async def test_visitors_and_policy_refuse_what_is_wrong_and_keep_it(world: World) -> None:
    await a_request(world)
    ana, carl = await at_the_desk(world), await at_the_desk(world, "carl")
    visitor: dict[str, Any] = {
        "version": "0",
        "visitor_id": "lan",
        "affiliation": "agency",
        "languages": "en",
        "leap101_valid_from": str(today()),
        "leap101_valid_until": "2029-01-01",
        "weekly_cap": "6",
        "active": "yes",
    }
    for field in visitor:
        for value in HOSTILE:
            answer = await ana.post("/visitors", data=visitor | {field: value})
            assert answer.status_code in (303, 404, 409, 422), (field, value, answer.status_code)
            assert "<script>alert" not in answer.text
    hours = {"window_weekday": "1", "window_begins": "18:00", "window_ends": "9"}
    spoilt = await ana.post("/visitors", data={**visitor, "visitor_id": "lin", **hours})
    assert spoilt.status_code == 422
    assert 'value="18:00"' in spoilt.text

    page = (await carl.get("/policy")).text
    assert "Decide" in page
    for value in ("", *HOSTILE):
        answer = await carl.post("/policy", data={"district": "hartford", "version": "0", "tries": value})
        assert answer.status_code == 422
    assert (await ana.post("/policy", data=policy_form())).status_code == 403
    assert (await carl.post("/policy", data=policy_form())).status_code == 303
    stale = await carl.post("/policy", data=policy_form(tries="5"))
    assert stale.status_code == 409
    assert "Stands there now" in stale.text


async def test_what_a_page_shows_filled_in_is_missed_when_it_is_emptied_whatever_a_program_may_leave_out(
    world: World,
) -> None:
    request = await a_request(world)
    ana, carl = await at_the_desk(world), await at_the_desk(world, "carl")
    before = await standing(world)
    contact = {"version": str(request["version"]), "way": "", "answer": "agreed"}
    refused = await ana.post(f"/requests/{request['request_id']}/contact", data=contact)
    assert refused.status_code == 422
    assert 'id="fault-way"' in refused.text
    assert await standing(world) == before

    emptied = await carl.post("/policy", data=policy_form(tries="", weight_rate=" "))
    assert emptied.status_code == 422
    assert emptied.text.count("Give a whole number from 3 to 20.") == 2, "at the top and at the field"
    assert emptied.text.count("Give a whole number from 0 to 1000.") == 2
    assert await world.pool.fetchval("SELECT count(*) FROM policy") == 0

    lan = {
        "visitor_id": "lan",
        "languages": "en",
        "leap101_valid_from": "2026-01-01",
        "leap101_valid_until": "2029-01-01",
    }
    refused = await ana.post("/visitors", data=lan | {"version": "", "affiliation": "", "weekly_cap": ""})
    assert refused.status_code == 422
    assert all(f'href="#{field}"' in refused.text for field in ("version", "affiliation", "weekly_cap"))
    assert await world.pool.fetchval("SELECT count(*) FROM visitor WHERE visitor_id = 'lan'") == 0


async def test_how_long_a_visit_may_take_is_one_rule_at_both_doors(world: World) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world)
    key, version = request["request_id"], request["version"]
    agreed = {"version": str(version), "way": "call", "answer": "agreed"}
    assert (await browser.post(f"/requests/{key}/contact", data=agreed)).status_code == 303
    version = await world.pool.fetchval("SELECT version FROM request WHERE request_id = $1", key)
    day = next_monday()
    typed = FORMS["appointment"] | {"version": str(version), "day": str(day), "minutes": "241"}
    page = await browser.post(f"/requests/{key}/appointment", data=typed)
    sent = {"version": version, "starts_at": f"{day}T16:00:00-05:00", "place": "home", "pair": ["marisol", "omar"]}
    told = await world.http.post(f"/v1/requests/{key}/appointment", json=sent | {"minutes": 241})
    assert (page.status_code, told.status_code) == (422, 422)
    assert "A visit takes between 15 and 240 minutes" in page.text
    assert [reason["code"] for reason in told.json()["reasons"]] == ["length"]
    assert 'min="15" max="240"' in page.text


def next_monday() -> date:
    """A school day that lies ahead."""
    return today() + timedelta(days=7 - today().weekday())


def policy_form(**changed: str) -> dict[str, str]:
    """The policy as its form shows the defaults."""
    from services.scheduling.pages.policy import ABSENCE, LOG, NUMBERS, WEIGHTS
    from services.scheduling.rules.policy import STANDARD

    return {
        "district": "hartford",
        "version": "0",
        "accumulator": "district",
        "early_warning": "yes",
        "resources": "food, housing",
        **{name: str(getattr(STANDARD.absence, name)) for name, _ in ABSENCE},
        **{name: str(getattr(STANDARD.desk, name)) for name, _ in NUMBERS},
        **{name: str(getattr(STANDARD.log, name)) for name, _ in LOG},
        **{f"weight_{name}": str(getattr(STANDARD.desk.weights, name)) for name, _ in WEIGHTS},
        **changed,
    }


async def test_names_and_numbers_stay_out_of_addresses_and_caches(world: World) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world)
    page = await browser.get(f"/requests/{request['request_id']}")
    assert "Rosa Delgado" in page.text
    assert page.headers["cache-control"] == "no-store"
    listed = await browser.get("/queue")
    assert "Delgado" not in listed.text, "the queue names nobody: who a family is, is shown where it is recorded"
    seen = await world.pool.fetch("SELECT person, what, cardinality(whose) FROM disclosed ORDER BY disclosure")
    assert [tuple(row) for row in seen] == [("ana", ["contact", "days"], 1), ("ana", ["days"], 2)]
