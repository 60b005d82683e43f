"""From a family's yes to an agreed visit: every rule asked, nobody booked twice, nothing lost when it moves."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.runtime import clock
from tests.component.scheduling.desk import act, agreed, ahead, appoint, codes, completed, register, shown
from tests.component.visit_events import World, contact, household
from tests.people import headers


async def bookings(world: World) -> list[tuple[str, Any]]:
    rows = await world.pool.fetch("SELECT visitor_id, starts_at FROM booking ORDER BY starts_at, visitor_id")
    return [tuple(row) for row in rows]


async def told(world: World, event_type: str) -> list[dict[str, Any]]:
    rows = await world.pool.fetch("SELECT payload FROM outbox WHERE event_type = $1 ORDER BY id", event_type)
    return [json.loads(row["payload"]) for row in rows]


async def test_an_agreed_visit_books_its_pair_and_is_told_without_its_place(world: World) -> None:
    await world.deliver("household-contacts", contact())
    await register(world, "marisol", "omar")
    paired = await appoint(world, await agreed(world), place="community", place_text="Library on Park St", minutes=45)

    assert paired.status_code == 200, paired.text
    body = paired.json()
    assert (body["stage"], body["language"], body["interpreter"], body["revision"]) == ("paired", "es", True, 1)
    assert await bookings(world) == [("marisol", ahead()), ("omar", ahead())]
    (event,) = await told(world, "visit.scheduled.v1")
    assert (event["pair"], event["minutes"], event["interpreter"]) == (["marisol", "omar"], 45, True)
    assert (event["visit_id"], event["place"], event["follow_up"]) == (body["visit_id"], "community", False)
    assert "Library" not in await world.payloads()


async def test_what_is_left_out_comes_from_policy_and_household(world: World) -> None:
    await world.deliver("household-contacts", contact())
    await register(world, "marisol", languages=["en", "es"])
    await register(world, "omar")
    body = (await appoint(world, await agreed(world))).json()
    assert (body["language"], body["interpreter"]) == ("es", False)
    assert (await told(world, "visit.scheduled.v1"))[0]["minutes"] == 60


async def test_confirmed_moved_taken_back_and_cancelled_with_all_its_history(world: World) -> None:
    await register(world, "marisol", "omar", "pia")
    request = await agreed(world)
    first = (await appoint(world, request, place="community", place_text="Library")).json()
    confirmed = (await act(world, first, "confirmation")).json()
    assert confirmed["stage"] == "confirmed"
    assert (await act(world, confirmed, "confirmation")).status_code == 422

    moved = (await act(world, confirmed, "reschedule", starts_at=ahead(10).isoformat(), pair=["omar", "pia"])).json()
    assert (moved["stage"], moved["revision"], moved["visit_id"]) == ("paired", 2, first["visit_id"])
    assert await bookings(world) == [("omar", ahead(10)), ("pia", ahead(10))]
    assert codes(await act(world, moved, "reschedule")) == ["unchanged"]

    cancelled = (await act(world, moved, "cancellation")).json()
    assert cancelled["stage"] == "agreed"
    assert await bookings(world) == []
    assert codes(await act(world, cancelled, "cancellation")) == ["none_scheduled"]
    assert codes(await act(world, cancelled, "confirmation")) == ["none_scheduled"]
    assert codes(await act(world, cancelled, "reschedule", minutes=30)) == ["none_scheduled"]
    rows = await world.pool.fetch("SELECT revision, place_text, first_visitor FROM appointment ORDER BY revision")
    assert [tuple(row) for row in rows] == [(1, "Library", "marisol"), (2, "Library", "omar")]
    again = (await appoint(world, cancelled)).json()
    assert again["visit_id"] != first["visit_id"]
    said = [event for event in await world.published() if event.startswith("visit.")]
    assert said == [
        "visit.requested.v1",
        "visit.scheduled.v1",
        "visit.rescheduled.v1",
        "visit.cancelled.v1",
        "visit.scheduled.v1",
    ]
    assert len(await told(world, "visit-request.stage-changed.v1")) == 6


async def test_an_appointment_for_a_paired_request_moves_its_visit(world: World) -> None:
    await register(world, "marisol", "omar")
    first = (await appoint(world, await agreed(world))).json()
    # Half an hour later overlaps the appointment that it replaces: nobody is in their own way.
    second = (await appoint(world, first, starts_at=ahead(16, 30).isoformat())).json()
    assert (second["visit_id"], second["revision"]) == (first["visit_id"], 2)


async def test_a_visit_after_one_that_took_place_is_a_follow_up(world: World) -> None:
    await register(world, "marisol", "omar")
    first = (await appoint(world, await agreed(world))).json()
    await world.deliver("visit-log", completed(first["visit_id"]))
    logged = await shown(world, first["request_id"])
    assert logged["stage"] == "logged"
    assert (await appoint(world, logged, starts_at=ahead(days=9).isoformat())).status_code == 200
    assert [event["follow_up"] for event in await told(world, "visit.scheduled.v1")] == [False, True]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"starts_at": "2020-01-01T10:00:00-05:00"}, "past"),
        ({"starts_at": "9999-12-31T23:59:59Z"}, "too_far"),
        ({"starts_at": "0001-01-01T00:00:00+14:00"}, "past"),
        ({"starts_at": ahead(21).isoformat()}, "night"),
        ({"starts_at": ahead(19, 30).isoformat()}, "night"),
        ({"minutes": 600}, "length"),
        ({"pair": ["marisol", "marisol"]}, "not_a_pair"),
        ({"pair": ["marisol", "nobody"]}, "not_registered"),
        ({"pair": ["marisol", "untrained"]}, "leap101"),
        ({"pair": ["marisol", "retired"]}, "inactive"),
        ({"pair": ["marisol", "full"]}, "weekly_cap"),
        ({"pair": ["marisol", "mornings"]}, "not_available"),
        ({"pair": ["marisol", "away"]}, "away"),
        ({"language": "pl", "interpreter": False}, "language"),
        ({"place_text": "the blue house"}, "place_text"),
    ],
)
async def test_a_broken_rule_is_named_and_leaves_nothing(world: World, change: dict[str, Any], code: str) -> None:
    await register(world, "marisol", "omar")
    await register(world, "untrained", leap101_valid_until=str(clock.now().date()))
    await register(world, "retired", active=False)
    await register(world, "full", weekly_cap=0)
    await register(world, "mornings", windows=[{"weekday": 1, "begins": "08:00", "ends": "12:00"}])
    await register(world, "away", away=[{"first_day": str(ahead().date()), "last_day": str(ahead().date())}])
    request = await agreed(world)

    refused = await appoint(world, request, **change)
    assert codes(refused) == [code]
    assert await world.pool.fetchval("SELECT count(*) FROM visit") == 0
    assert (await shown(world, request["request_id"]))["version"] == request["version"]


@pytest.mark.parametrize(
    "change",
    [
        {"starts_at": ahead().replace(tzinfo=None).isoformat()},
        {"starts_at": "tomorrow"},
        {"pair": ["marisol"]},
        {"pair": ["marisol", "omar", "pia"]},
        {"pair": ["marisol", "<script>"]},
        {"place": "office"},
        {"place": "community", "place_text": "nul \u0000"},
        {"place": "community", "place_text": "\u200b\u2060"},
        {"place": "community", "place_text": "x" * 201},
        {"language": "es'; DROP TABLE visit; --"},
        {"minutes": -5},
        {"unheard": "of"},
        {"version": 0},
    ],
)
async def test_what_can_not_be_read_is_refused_and_not_repeated(world: World, change: dict[str, Any]) -> None:
    await register(world, "marisol", "omar")
    refused = await appoint(world, await agreed(world), **change)
    assert refused.status_code == 422
    assert "<script>" not in refused.text
    assert "DROP" not in refused.text


async def test_no_appointment_without_consent_or_by_those_who_may_not(world: World) -> None:
    await register(world, "marisol", "omar")
    request = await agreed(world)
    await world.pool.execute("UPDATE request SET stage = 'contacting'")
    assert codes(await appoint(world, request)) == ["consent"]
    for who, status in (("marisol", 403), ("dana", 403), ("bea", 404)):
        assert (await appoint(world, request, actor=who)).status_code == status
    stale = await appoint(world, {**request, "version": 1})
    assert stale.status_code == 409


async def test_who_is_booked_is_said_with_from_when_to_when_and_travel_counts(world: World) -> None:
    await register(world, "marisol", "omar", "pia", "quin")
    first, second = await agreed(world, 1), await agreed(world, 2)
    await appoint(world, first)
    refused = await appoint(world, second, starts_at=ahead(17, 29).isoformat(), pair=["omar", "pia"])
    assert codes(refused) == ["booked"]
    (reason,) = refused.json()["reasons"]
    assert reason["values"]["visitor"] == "omar"
    assert "omar is booked from" in reason["says"]
    assert "16:00" in reason["says"]
    assert (await appoint(world, second, starts_at=ahead(17, 30).isoformat(), pair=["omar", "pia"])).status_code == 200


async def test_a_households_exclusion_holds(world: World) -> None:
    await register(world, "marisol", "omar")
    request = await agreed(world)
    path = f"/v1/visitors/omar/exclusions/{household(1)}"
    standing = await world.pool.fetchval("SELECT version FROM visitor WHERE visitor_id = 'omar'")
    excluded = await world.http.put(path, json={"version": standing}, headers=headers("ana"))
    assert excluded.status_code == 200
    assert codes(await appoint(world, request)) == ["excluded"]
    freed = await world.http.delete(f"{path}?version={excluded.json()['version']}", headers=headers("ana"))
    assert freed.json()["exclusions"] == 0
    assert (await appoint(world, request)).status_code == 200


async def test_of_many_who_want_the_same_two_people_at_once_one_gets_them(world: World) -> None:
    await register(world, "marisol", "omar", "pia", weekly_cap=20)
    requests = [await agreed(world, number) for number in range(1, 13)]
    pairs = [["marisol", "omar"], ["omar", "pia"], ["pia", "marisol"]]
    answers = await asyncio.gather(
        *(appoint(world, request, pair=pairs[number % 3]) for number, request in enumerate(requests))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 11
    assert {code for answer in answers if answer.status_code == 422 for code in codes(answer)} == {"booked"}
    assert len(await bookings(world)) == 2
    assert len(await told(world, "visit.scheduled.v1")) == 1


async def test_the_weekly_cap_holds_for_those_who_book_at_once(world: World) -> None:
    await register(world, "marisol", weekly_cap=2)
    await register(world, *(f"other{number}" for number in range(6)))
    requests = [await agreed(world, number) for number in range(1, 7)]
    answers = await asyncio.gather(
        *(
            appoint(world, request, starts_at=ahead(10, days=7 + n % 5).isoformat(), pair=["marisol", f"other{n}"])
            for n, request in enumerate(requests)
        )
    )
    assert [answer.status_code for answer in answers].count(200) == 2
    assert await world.pool.fetchval("SELECT count(*) FROM booking WHERE visitor_id = 'marisol'") == 2


async def test_one_change_of_a_request_wins_and_the_other_hears_it(world: World) -> None:
    await register(world, "marisol", "omar", "pia", "quin")
    request = await agreed(world)
    answers = await asyncio.gather(
        appoint(world, request), appoint(world, request, pair=["pia", "quin"]), act(world, request, "cancellation")
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 409, 409], [200, 409, 422])
    assert await world.pool.fetchval("SELECT count(*) FROM appointment") == 1


async def test_a_decline_frees_the_pair(world: World) -> None:
    await register(world, "marisol", "omar")
    paired = (await appoint(world, await agreed(world))).json()
    declined = await act(world, paired, "answer", answer="declined")
    assert declined.status_code == 200, declined.text
    assert await bookings(world) == []
    assert "visit.cancelled.v1" in await world.published()


async def test_the_database_itself_books_nobody_twice(world: World) -> None:
    await register(world, "marisol", "omar", "pia")
    first = (await appoint(world, await agreed(world, 1))).json()
    other = await agreed(world, 2)
    visit_id = await world.pool.fetchval(
        "INSERT INTO visit (request_id) VALUES ($1) RETURNING visit_id", UUID(other["request_id"])
    )
    insert = """
        INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor,
                                 made_by, made_at)
        VALUES ($1, 1, $2, 'home', 'en', 'omar', 'pia', 'ana', now())
    """
    for minutes in (-89, 0, 89):
        with pytest.raises(asyncpg.ExclusionViolationError):
            await world.pool.execute(insert, visit_id, ahead() + timedelta(minutes=minutes))
    assert await world.pool.fetchval("SELECT count(*) FROM booking") == 2
    await world.pool.execute("UPDATE visit SET state = 'cancelled' WHERE visit_id = $1", UUID(first["visit_id"]))
    await world.pool.execute(insert, visit_id, ahead())
    assert await world.pool.fetchval("SELECT count(*) FROM booking") == 2


async def test_a_visit_that_was_made_keeps_its_pairs_time(world: World) -> None:
    await register(world, "marisol", "omar")
    first = (await appoint(world, await agreed(world, 1))).json()
    await world.deliver("visit-log", completed(first["visit_id"]))
    assert codes(await appoint(world, await agreed(world, 2))) == ["booked", "booked"]


async def test_proposed_pairs_come_with_reasons_and_can_be_appointed_as_they_are(world: World) -> None:
    await world.deliver("household-contacts", contact())
    await register(world, "marisol", languages=["en", "es"])
    await register(world, "omar", "quin")
    await register(world, "tia", affiliation="school", school="H01")
    await register(world, "late", windows=[{"weekday": 1, "begins": "19:00", "ends": "20:00"}])
    request = await agreed(world)
    window = {"begins_at": ahead(15).isoformat(), "ends_at": ahead(17).isoformat()}
    path = f"/v1/requests/{request['request_id']}/pairs"
    found = (await world.http.get(path, params=window, headers=headers("ana"))).json()

    best = found["pairs"][0]
    assert best["pair"] == ["marisol", "tia"]
    assert {"speaks", "from_school"} <= {reason["code"] for reason in best["reasons"]}
    assert [each["visitor_id"] for each in found["hindered"]] == ["late"]
    taken = await appoint(world, request, starts_at=best["starts_at"], pair=best["pair"])
    assert (taken.status_code, taken.json()["interpreter"]) == (200, best["interpreter"])
    moved = (await world.http.get(path, params=window, headers=headers("ana"))).json()
    assert moved["pairs"][0]["pair"] == ["marisol", "tia"]  # the visit that is being moved is in nobody's way
    assert (await world.http.get(path, params=window, headers=headers("bea"))).status_code == 404
    far = {"begins_at": "9999-12-31T20:00:00Z", "ends_at": "9999-12-31T23:00:00Z"}
    assert (await world.http.get(path, params=far, headers=headers("ana"))).json()["why_none"]["code"] == "too_far"


async def test_times_the_family_offered_are_kept_and_replaced(world: World) -> None:
    request = await agreed(world)
    path = f"/v1/requests/{request['request_id']}/offered-times"

    async def offer(version: int, *windows: tuple[int, int]) -> Any:
        times = [{"begins_at": ahead(a).isoformat(), "ends_at": ahead(b).isoformat()} for a, b in windows]
        return await world.http.put(path, json={"version": version, "times": times}, headers=headers("ana"))

    first = await offer(request["version"], (15, 18), (9, 10))
    assert first.status_code == 200
    second = await offer(first.json()["version"], (12, 14))
    assert await world.pool.fetchval("SELECT count(*) FROM offered_time") == 1
    assert codes(await offer(second.json()["version"], (14, 12))) == ["offered"]


async def test_the_week_is_proposed_around_what_is_agreed_and_each_proposal_can_be_appointed(world: World) -> None:
    await register(world, "marisol", "omar")
    first, second, third, silent = [await agreed(world, number) for number in range(1, 5)]
    await appoint(world, first)
    for request, begins in ((second, 15), (third, 9)):
        times = [{"begins_at": ahead(begins).isoformat(), "ends_at": ahead(begins + 3).isoformat()}]
        path = f"/v1/requests/{request['request_id']}/offered-times"
        offered = await world.http.put(path, json={"version": request["version"], "times": times})
        request["version"] = offered.json()["version"]

    async def proposals(who: str, **params: str) -> Any:
        query = {"district": "hartford", "day": str(ahead(days=9).date()), "iterations": "50", **params}
        return await world.http.get("/v1/proposals", params=query, headers=headers(who))

    plan = (await proposals("ana")).json()
    assert plan["monday"] == str(ahead().date())
    (morning,) = plan["planned"]
    assert (morning["request_id"], morning["pair"]) == (third["request_id"], ["marisol", "omar"])
    reasons = {each["request_id"]: each["reason"]["code"] for each in plan["unscheduled"]}
    # From three to six, with an agreed visit at four and the way to it and from it, nothing else fits.
    assert reasons == {second["request_id"]: "nobody", silent["request_id"]: "no_times"}
    taken = await appoint(world, third, starts_at=morning["starts_at"], pair=morning["pair"])
    assert taken.status_code == 200, taken.text
    for who, status in (("marisol", 403), ("bea", 404), ("dana", 403)):
        assert (await proposals(who)).status_code == status
    assert (await proposals("ana", iterations="1000000")).status_code == 422
    assert (await proposals("ana", day="0001-01-01")).status_code == 422


async def test_the_day_sheet_names_the_family_to_those_who_go_and_records_it(world: World) -> None:
    await world.deliver("household-contacts", contact())
    await register(world, "marisol", "omar", "pia", "quin")
    first = (await appoint(world, await agreed(world, 1))).json()
    await appoint(world, await agreed(world, 2), pair=["pia", "quin"], starts_at=ahead(9).isoformat())
    await appoint(world, await agreed(world, 3), starts_at=ahead(9, days=8).isoformat())

    async def sheet(who: str, **params: str) -> Any:
        query = {"district": "hartford", "day": str(ahead().date()), **params}
        return await world.http.get("/v1/day-sheet", params=query, headers=headers(who))

    visits = (await sheet("ana")).json()["visits"]
    assert [visit["pair"] for visit in visits] == [["pia", "quin"], ["marisol", "omar"]]
    assert visits[1]["contact"]["contact_name"] == "Rosa Example"
    own = (await sheet("marisol", visitor="marisol")).json()["visits"]
    assert [visit["visit_id"] for visit in own] == [first["visit_id"]]
    seen = await world.pool.fetch("SELECT person, purpose FROM disclosed WHERE purpose = 'sheet' ORDER BY disclosure")
    assert [tuple(row) for row in seen] == [("ana", "sheet"), ("marisol", "sheet")]
    for who, params, status in (
        ("marisol", {}, 403),
        ("marisol", {"visitor": "omar"}, 403),
        ("dana", {}, 403),
        ("bea", {}, 404),
        ("ana", {"day": "0001-01-01"}, 422),
    ):
        assert (await sheet(who, **params)).status_code == status
    assert "Rosa" not in await world.payloads()


async def test_the_confirmation_is_for_the_desk_and_the_pair(world: World) -> None:
    await world.deliver("household-contacts", contact())
    await register(world, "marisol", "omar", "pia", "quin")
    visit_id = (await appoint(world, await agreed(world), pair=["pia", "marisol"])).json()["visit_id"]
    path = f"/v1/visits/{visit_id}/confirmation"
    said = (await world.http.get(path, headers=headers("marisol"))).json()
    assert (said["language"], said["contact"]["language"], said["pair"]) == ("es", "es", ["pia", "marisol"])
    for who, status in (("omar", 403), ("ana", 200), ("bea", 404)):
        assert (await world.http.get(path, headers=headers(who))).status_code == status
