"""What the coordinator works with, on a real database: missing logs, questions, pay, policies, disclosures."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import events
from services.visitlog.rules.outcomes import due_of, overdue_before
from tests import builders
from tests.component.visit_events import contact, household, of_visit
from tests.component.visitlog.conftest import VisitLog
from tests.zones import HERE

NOW = datetime.now(UTC).replace(microsecond=0)
RATE = {
    "district": "hartford",
    "effective_from": "2025-07-01",
    "hourly_cents": 3000,
    "travel_hourly_cents": 2000,
    "mile_tenth_cents": 725,
    "show_up_cents": 1500,
}


def visit_id(number: int) -> UUID:
    return UUID(int=0x0D << 120 | number)


def agreed(number: int, *, days_ago: float, **fields: Any) -> events.Event:
    """The numbered visit of Marisol and Omar to the numbered household."""
    facts = {
        "visit_id": visit_id(number),
        "request_id": UUID(int=0x0C << 120 | number),
        "household_key": household(number),
        "pair": ["marisol", "omar"],
        "starts_at": NOW - timedelta(days=days_ago),
    }
    return of_visit(events.VisitScheduled, **facts | fields)


def decided(version: int, effective_from: date, **log: Any) -> events.DistrictPolicyDecided:
    """What Hartford decided at the desk of its logs."""
    return events.DistrictPolicyDecided.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "district-policy.decided.v1",
            "occurred_at": NOW,
            "district": "hartford",
            "version": version,
            "effective_from": effective_from,
            "log": log,
        }
    )


async def log(world: VisitLog, number: int, *, days_ago: float, minutes: int = 40, **fields: Any) -> str:
    """Marisol's log of the numbered visit."""
    started_at = NOW - timedelta(days=days_ago)
    body = {
        "visit_id": str(visit_id(number)),
        "outcome": "took_place",
        "started_at": started_at.isoformat(),
        "ended_at": (started_at + timedelta(minutes=minutes)).isoformat(),
        "pair": ["marisol", "omar"],
    } | fields
    log_id = str(uuid4())
    answer = await world.http.put(f"/v1/visit-logs/{log_id}", json=body)
    assert answer.status_code == 201, answer.text
    return log_id


async def test_missing_logs_are_told_from_visits_that_did_not_happen(world: VisitLog) -> None:
    await world.deliver(
        "home-visits", *(agreed(number, days_ago=12) for number in (1, 2, 3, 4)), agreed(5, days_ago=0.1)
    )
    await world.deliver(
        "home-visits",
        of_visit(
            events.VisitCancelled,
            version=2,
            visit_id=visit_id(4),
            request_id=UUID(int=0x0C << 120 | 4),
            household_key=household(4),
        ),
    )
    await log(world, 1, days_ago=12)
    await log(world, 2, days_ago=12, outcome="family_not_home", ended_at=None)

    carl = world.as_("carl")
    listed = (await carl.get("/v1/expected-logs")).json()["visits"]
    assert {UUID(each["visit_id"]): each["due"] for each in listed} == {
        visit_id(1): "logged",
        visit_id(2): "attempted",
        visit_id(3): "overdue",
        visit_id(4): "cancelled",
        visit_id(5): "expected",
    }
    overdue = (await carl.get("/v1/expected-logs", params={"due": ["overdue"]})).json()["visits"]
    assert [UUID(each["visit_id"]) for each in overdue] == [visit_id(3)]
    assert (await world.as_("bea").get("/v1/expected-logs")).json()["visits"] == []
    assert (await world.as_("dora").get("/v1/expected-logs")).json()["visits"] == []
    assert len((await world.as_("omar").get("/v1/expected-logs")).json()["visits"]) == 5
    assert (await world.as_("ops").get("/v1/expected-logs")).status_code == 403


async def test_the_list_goes_on_where_a_page_of_it_ends(world: VisitLog) -> None:
    await world.deliver("home-visits", *(agreed(number, days_ago=number) for number in range(1, 8)))
    seen: list[str] = []
    following: dict[str, Any] = {}
    while True:
        page = (await world.as_("carl").get("/v1/expected-logs", params={"limit": 3, **following})).json()
        seen += [each["visit_id"] for each in page["visits"]]
        if page["next"] is None:
            break
        following = page["next"]
    assert seen == [str(visit_id(number)) for number in range(7, 0, -1)]


async def test_the_database_says_what_the_rule_says(world: VisitLog) -> None:
    await world.deliver("home-visits", *(agreed(number, days_ago=number / 2) for number in range(1, 31)))
    for number in range(3, 31, 3):
        await log(world, number, days_ago=number / 2, outcome="family_not_home", ended_at=None)
    limit = overdue_before(as_of=NOW, business_days=5, zone=HERE)
    listed = (await world.as_("carl").get("/v1/expected-logs")).json()["visits"]
    assert len(listed) == 30
    for each in listed:
        number = UUID(each["visit_id"]).int & 0xFFFF
        said = due_of(
            cancelled=False,
            outcomes=["family_not_home"] if number % 3 == 0 else [],
            starts_at=datetime.fromisoformat(each["starts_at"]),
            overdue_before=limit,
        )
        assert each["due"] == said, number


async def test_a_district_gives_its_visitors_more_time_and_asks_for_more(world: VisitLog) -> None:
    await world.deliver("home-visits", agreed(1, days_ago=12))
    carl = world.as_("carl")
    policy = {
        "log_due_business_days": 20,
        "resources": ["food", "bus_passes"],
        "extra_fields": [{"code": "bus", "labels": {"en": "Bus line", "es": "Línea"}, "kind": "number"}],
    }
    path = "/v1/log-policies/hartford"
    today = NOW.astimezone(HERE).date()
    late = decided(3, today + timedelta(days=9), log_due_business_days=1)
    await world.deliver("district-policies", late, decided(2, today, **policy), decided(1, today))
    await world.deliver("district-policies", decided(2, today, log_due_business_days=1))
    shown = (await carl.get(path)).json()
    assert (shown["version"], shown["at_desk"], shown["policy"]["log_due_business_days"]) == (2, True, 20)
    assert (await world.as_("dora").get(path)).status_code == 404
    assert (await carl.put(path, json={"version": 2, "policy": policy})).status_code == 405

    assert (await carl.get("/v1/expected-logs")).json()["visits"][0]["due"] == "expected"
    browser = await world.signed_in("marisol")
    form = (await browser.get(f"/visits/{visit_id(1)}/log")).text
    assert "Bus line" in form
    assert "Bus passes" in form
    log_id = await log(world, 1, days_ago=12, extra={"bus": "30"})
    assert "Bus line" in (await browser.get(f"/logs/{log_id}")).text
    refused = await world.http.put(
        f"/v1/visit-logs/{uuid4()}",
        json={
            "visit_id": str(visit_id(1)),
            "outcome": "took_place",
            "started_at": (NOW - timedelta(days=3)).isoformat(),
            "ended_at": (NOW - timedelta(days=3) + timedelta(minutes=30)).isoformat(),
            "pair": ["marisol", "omar"],
            "extra": {"shoe_size": "9"},
        },
    )
    assert refused.status_code == 422


async def test_what_was_set_here_before_stands_until_the_desk_decides_and_its_fields_stay_readable(
    world: VisitLog,
) -> None:
    bus = {"code": "bus", "labels": {"en": "Bus line"}, "kind": "number"}
    await world.deliver("home-visits", agreed(1, days_ago=2), agreed(2, days_ago=2))
    await world.pool.execute(
        "INSERT INTO log_policy (district, version, policy, set_by, set_at) VALUES ('hartford', 4, $1, 'carl', now())",
        events.LogPolicy.model_validate({"extra_fields": [bus], "resources": ["food"]}).model_dump_json(),
    )
    path = "/v1/log-policies/hartford"
    before = (await world.as_("carl").get(path)).json()
    assert (before["version"], before["at_desk"], before["policy"]["resources"]) == (4, False, ["food"])
    first = await log(world, 1, days_ago=2, extra={"bus": "30"})

    await world.deliver("district-policies", decided(1, NOW.astimezone(HERE).date() - timedelta(days=1)))
    after = (await world.as_("carl").get(path)).json()
    assert (after["version"], after["at_desk"], after["policy"]["extra_fields"]) == (1, True, [])
    browser = await world.signed_in("marisol")
    assert "Bus line" in (await browser.get(f"/logs/{first}")).text
    assert "Bus line" not in (await browser.get(f"/visits/{visit_id(2)}/log")).text
    # A phone that was offline while it changed keeps its log.
    await log(world, 2, days_ago=2, extra={"bus": "31"})
    assert "scheduling desk" in (await (await world.signed_in("carl")).get("/office")).text


async def test_pay_follows_the_rate_of_its_day_and_stays_when_rates_change(world: VisitLog) -> None:
    await world.deliver("home-visits", agreed(1, days_ago=3), agreed(2, days_ago=2))
    way = [{"visitor_id": "marisol", "travel_minutes": 24, "mileage_tenths": 65}]
    await log(world, 1, days_ago=3, minutes=45, efforts=way)
    await log(world, 2, days_ago=2, outcome="family_not_home", ended_at=None)
    carl = world.as_("carl")

    async def exported() -> list[list[str]]:
        lines = (await carl.get("/v1/payroll.csv")).text.splitlines()[1:]
        return [line.split(",")[-7:] for line in lines]

    assert await exported() == [["6.5", *[""] * 6], *[["0.0", *[""] * 6]] * 3]
    assert (await carl.post("/v1/pay-rates", json=RATE)).status_code == 201
    expected = [
        ["6.5", "22.50", "8.00", "4.71", "0.00", "35.21", "2025-07-01"],
        ["0.0", "0.00", "0.00", "0.00", "15.00", "15.00", "2025-07-01"],
        ["0.0", "22.50", "0.00", "0.00", "0.00", "22.50", "2025-07-01"],
        ["0.0", "0.00", "0.00", "0.00", "15.00", "15.00", "2025-07-01"],
    ]
    assert await exported() == expected
    today = NOW.astimezone(HERE).date()
    assert (
        await carl.post("/v1/pay-rates", json=RATE | {"effective_from": str(today), "hourly_cents": 9000})
    ).is_success
    assert await exported() == expected
    revised = await carl.post("/v1/pay-rates", json=RATE | {"hourly_cents": 4000})
    assert revised.json()["revision"] == 2
    assert (await exported())[0][1] == "30.00"
    assert len((await carl.get("/v1/pay-rates")).json()["rates"]) == 3
    for stranger in ("marisol", "dana", "bea", "state"):
        for answer in (
            await world.as_(stranger).get("/v1/payroll.csv"),
            await world.as_(stranger).get("/v1/integrity"),
            await world.as_(stranger).post("/v1/pay-rates", json=RATE),
        ):
            assert answer.status_code == 403


async def test_the_quiet_checks_read_logs_calendars_and_when_the_phone_wrote(world: VisitLog) -> None:
    school_days = [day for n in range(30) if (day := date(2026, 1, 1) + timedelta(days=n)).weekday() < 5]
    closed = NOW.astimezone(HERE).date() - timedelta(days=4)
    year = closed.year if closed.month >= 7 else closed.year - 1
    await world.deliver("home-visits", of_visit(events.VisitRequested, request_id=UUID(int=0x0C << 120 | 1)))
    calendar = builders.calendar([*school_days, closed + timedelta(days=1)])
    calendar = calendar.model_copy(update={"school": "H01", "district": "hartford", "school_year": year})
    await world.deliver("school-calendar", calendar, calendar)
    # The kindergarten had school that day; the school was closed all the same.
    kindergarten = calendar.model_copy(update={"track": "kindergarten", "school_days": (closed,), "source_version": 9})
    await world.deliver("calendars", kindergarten)
    await world.deliver("home-visits", agreed(1, days_ago=4), agreed(2, days_ago=4), agreed(3, days_ago=9))
    words: dict[str, Any] = {"voice": {"strengths": "They were glad that somebody came and listened."}}
    evening = (NOW - timedelta(hours=1)).isoformat()
    first = await log(world, 1, days_ago=4, written_at=evening, **words)
    second = await log(world, 2, days_ago=4, minutes=4, written_at=evening, **words)
    third = await log(world, 3, days_ago=9, written_at=evening)

    found = (await world.as_("carl").get("/v1/integrity")).json()["findings"]
    by_check: dict[str, list[set[str]]] = {}
    for each in found:
        by_check.setdefault(each["check"], []).append(set(each["log_ids"]))
    assert by_check["overlap"] == [{first, second}] * 2
    assert by_check["under_five_minutes"] == [{second}]
    assert by_check["repeated_text"] == [{first, second}]
    assert {first} in by_check["no_school_that_day"]
    assert [checks for checks, sets in by_check.items() if any(third in each for each in sets)] in (
        [],
        ["no_school_that_day"],
    )
    assert "burst_entry" not in by_check
    assert "glad" not in str(found)
    page = await (await world.signed_in("carl")).get("/office?view=questions")
    assert "Shorter than five minutes" in page.text


async def test_who_saw_how_to_reach_whom_is_on_record(world: VisitLog) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver("home-visits", agreed(1, days_ago=1))
    browser = await world.signed_in("omar")
    for _ in range(3):
        await browser.get(f"/visits/{visit_id(1)}")
    await (await world.signed_in("carl")).get(f"/visits/{visit_id(1)}")

    seen = (await world.as_("audit").get("/v1/disclosures", params={"whose": str(household(1))})).json()
    assert [(each["person"], each["role"], each["purpose"], each["what"]) for each in seen["disclosures"]] == [
        ("carl", "coordinator", "coordinate", ["contact"]),
        *[("omar", "visitor", "own_visit", ["contact"])] * 3,
    ]
    assert (await world.as_("marisol").get("/v1/disclosures")).status_code == 403


@pytest.mark.parametrize("stranger", ["dora", "ana", "bea", "dana", "state", "ops"])
async def test_a_referral_moves_on_by_the_pair_and_its_coordinator_only(world: VisitLog, stranger: str) -> None:
    status = 404 if stranger == "dora" else 403
    await world.deliver("home-visits", agreed(1, days_ago=1))
    log_id = await log(world, 1, days_ago=1, referrals=[{"resource": "food"}])
    shown = (await world.http.get(f"/v1/visit-logs/{log_id}")).json()
    path = f"/v1/visit-logs/{log_id}/referrals/{shown['referrals'][0]['referral_id']}"

    assert (await world.as_(stranger).post(path, json={"status": "accepted"})).status_code == status
    assert (await world.as_("omar").post(path, json={"status": "handed_over"})).json()["changed"] is True
    assert (await world.as_("carl").post(path, json={"status": "handed_over"})).json()["changed"] is False
    assert (await world.as_("carl").post(path, json={"status": "accepted"})).status_code == 409
    assert (await world.as_("carl").post(path, json={"status": "connected"})).json()["changed"] is True
    told = [
        events.ReferralMade.model_validate_json(row["payload"])
        for row in await world.pool.fetch(
            "SELECT payload FROM outbox WHERE event_type = 'referral.made.v1' ORDER BY id"
        )
    ]
    assert [each.status for each in told] == ["offered", "handed_over", "connected"]
    assert len({each.referral_id for each in told}) == 1
