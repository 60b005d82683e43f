"""Points, sentences and due days, as they are stored with the request."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from contracts import events
from contracts.calendar import local_day, school_year_of
from services.runtime import clock
from services.runtime.settings import Settings
from services.runtime.web.context import Context
from services.scheduling.handlers.pricing import price_waiting
from tests.component.visit_events import MORNING, World, flag, household, student
from tests.delivering import RecordingPublisher
from tests.people import headers
from tests.zones import HERE

DAYS = [date(2026, 9, 1) + timedelta(days=n) for n in (0, 1, 8, 20)]
RECENT = {"last_20_absent": 3, "last_20_counted": 20, "before_20_absent": 1, "before_20_counted": 20, "spell": 2}


def context_of(world: World) -> Context:
    return Context(Settings.model_construct(), world.pool, RecordingPublisher())  # type: ignore[arg-type]


async def the_request(world: World, number: int = 1) -> dict[str, Any]:
    row = await world.pool.fetchrow("SELECT * FROM request WHERE household_key = $1", household(number))
    assert row is not None
    return dict(row)


async def show(world: World, request: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = (await world.http.get(f"/v1/requests/{request['request_id']}")).json()
    return shown


def calendar(*days: date, school: str = "H01", version: int = 1) -> events.SchoolCalendarChanged:
    return events.SchoolCalendarChanged.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "school-calendar.changed.v1",
            "occurred_at": MORNING,
            "district": "hartford",
            "school": school,
            "school_year": school_year_of(min(days)),
            "feed": "full",
            "school_days": days,
            "source_version": version,
        }
    )


async def test_a_request_keeps_its_points_their_inputs_dates_and_rule_version(world: World) -> None:
    story = flag(1, days_absent=21, days_enrolled=130, absent_days=DAYS, recent=RECENT, chronic_last_year=True)
    await world.deliver("absence-flags", story)

    shown = await show(world, await the_request(world))
    assert [clause["says"] for clause in shown["why"]] == [
        "Missed 21 of 130 days (16.1 %).",
        "3 of the last 20, 1 of the 20 before.",
        "Missed the last 2 days in a row.",
        "Was chronically absent last year.",
    ]
    assert shown["points"] == sum(clause["points"] for clause in shown["why"]) == 161 + 12 + 4 + 10 + 50
    assert shown["why"][1]["days"] == [day.isoformat() for day in DAYS[-3:]]
    assert (shown["priority"]["rule_version"], shown["priority"]["policy_version"]) == (1, 0)


async def test_a_sibling_who_joins_counts_and_is_kept_in_the_history(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    before = await the_request(world)
    await world.deliver("absence-flags", flag(2))

    after = await the_request(world)
    assert after["points"] == before["points"] + 40
    assert after["version"] > before["version"]
    history = (await show(world, after))["history"]
    assert [(row["what"], row["detail"]) for row in history] == [
        ("opened", {"students": [str(student(1))]}),
        ("joined", {"students": [str(student(2))]}),
    ]


async def test_a_worse_flag_of_the_same_child_prices_anew_and_makes_nobodys_form_stale(world: World) -> None:
    await world.deliver("absence-flags", flag(1, days_absent=4))
    before = await the_request(world)
    await world.deliver("absence-flags", flag(1, version=2, days_absent=9, level="severely_chronically_absent"))
    after = await the_request(world)
    assert after["points"] > before["points"]
    assert after["version"] == before["version"]


async def test_a_correction_that_withdraws_is_named_with_its_days(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    corrected = flag(1, version=2, level="none", days_absent=2, corrected_days=DAYS[:2])
    await world.deliver("absence-flags", corrected)

    shown = await show(world, await the_request(world))
    assert (shown["stage"], shown["closed_because"]) == ("closed", "no_longer_flagged")
    (clause,) = shown["why_gone"]
    assert clause["says"] == "2 absences were corrected to present; now 6.6 %."
    assert clause["days"] == [day.isoformat() for day in DAYS[:2]]
    assert shown["history"][-1]["what"] == "withdrawn"
    assert shown["history"][-1]["detail"]["children"][0]["corrected_days"] == [day.isoformat() for day in DAYS[:2]]


async def test_a_request_under_way_stays_and_says_which_correction_took_its_flag(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    await world.http.post("/v1/requests/next/claim")
    await world.deliver("absence-flags", flag(1, version=2, level="none", corrected_days=DAYS[:1]))

    shown = await show(world, await the_request(world))
    assert (shown["stage"], shown["history"][-1]["what"]) == ("claimed", "flag_cleared")
    assert [clause["says"] for clause in shown["why_gone"]] == ["One absence was corrected to present; now 13.3 %."]
    assert shown["points"] == 0


async def test_targets_count_the_days_on_which_any_school_of_the_district_teaches(world: World) -> None:
    today = local_day(clock.now(), zone=HERE)
    every_other = [today + timedelta(days=n) for n in range(2, 40, 2)]
    await world.deliver("school-calendar", calendar(*every_other[::2]), calendar(*every_other[1::2], school="H02"))
    await world.deliver("absence-flags", flag(1))
    assert (await the_request(world))["due_on"] == every_other[2]


async def test_an_older_calendar_or_the_same_again_changes_nothing_and_a_newer_one_moves_the_due_days(
    world: World,
) -> None:
    today = local_day(clock.now(), zone=HERE)
    tomorrow_on = [today + timedelta(days=n) for n in range(1, 20)]
    await world.deliver("school-calendar", calendar(*tomorrow_on, version=2), calendar(*tomorrow_on[5:], version=1))
    await world.deliver("school-calendar", calendar(*tomorrow_on, version=2))
    await world.deliver("absence-flags", flag(1))
    assert (await the_request(world))["due_on"] == today + timedelta(days=3)

    await world.deliver("school-calendar", calendar(*tomorrow_on[1:], version=3))
    await price_waiting(context_of(world))
    assert (await the_request(world))["due_on"] == today + timedelta(days=4)


async def test_waiting_beyond_the_target_adds_points_day_by_day_without_a_version(world: World) -> None:
    await world.deliver("absence-flags", flag(1), flag(2, household_number=2))
    before = await the_request(world)
    await world.pool.execute("UPDATE request SET aged_from = aged_from - 28 WHERE household_key = $1", household(1))
    await price_waiting(context_of(world))

    after = await the_request(world)
    # Four weeks are 20 school days, Monday to Friday; three of them were in time.
    assert (after["days_beyond"], after["waiting_points"]) == (17, 85)
    assert (after["points"], after["version"]) == (before["points"] + 85, before["version"])
    assert (await the_request(world, 2))["waiting_points"] == 0
    assert "School days waited beyond the target: 17." in [c["says"] for c in (await show(world, after))["why"]]
    claimed = (await world.http.post("/v1/requests/next/claim")).json()
    assert claimed["household_key"] == str(household(1))


async def test_a_first_contact_meets_the_first_target_and_the_next_counts_from_the_same_day(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    await world.pool.execute("UPDATE request SET aged_from = aged_from - 7")
    await price_waiting(context_of(world))
    request = await the_request(world)
    assert request["days_beyond"] == 2
    body = {"version": request["version"], "way": "text", "answer": "not_reached"}
    await world.http.post(f"/v1/requests/{request['request_id']}/answer", json=body)
    assert (await the_request(world))["days_beyond"] == 0


async def test_a_district_decides_its_weights_and_its_queue_is_priced_by_them(world: World) -> None:
    await world.deliver("absence-flags", flag(1), flag(2))
    standing = (await world.http.get("/v1/policies/hartford")).json()
    assert (standing["version"], standing["desk"]["first_contact_days"]) == (0, 3)
    assert standing["desk"]["weights"]["sibling"] == 40
    command = {
        "version": 0,
        "effective_from": "2026-01-05",
        "desk": {"first_contact_days": 5, "weights": {"sibling": 100}},
    }
    assert (await world.http.put("/v1/policies/hartford", json=command)).status_code == 403

    before = (await the_request(world))["points"]
    saved = await world.http.put("/v1/policies/hartford", json=command, headers=headers("carl"))
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    await price_waiting(context_of(world))
    request = await the_request(world)
    assert (request["points"], request["policy_version"]) == (before + 60, 1)

    stale = await world.http.put("/v1/policies/hartford", json=command, headers=headers("carl"))
    assert (stale.status_code, stale.json()["current"]["version"], stale.json()["yours"]) == (409, 1, command)
    assert (await world.http.get("/v1/policies/danbury")).status_code == 404


async def test_a_policy_that_breaks_the_order_or_the_programmes_rules_is_refused(world: World) -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"desk": {"weights": {"worsening": 9}}},
        {"desk": {"tries": 2}},
        {"desk": {"first_contact_days": 0}},
        {"desk": {"earliest_hour": 20, "latest_hour": 8}},
        {"unknown": 1},
        {"tries": 4},
        {"desk": {"log_days": 3}},
        {"absence": {"min_enrolled_days": 4}},
        {"absence": {"min_enrolled_days": 21}},
        {"absence": {"accumulator": "state"}},
        {"absence": {"chronic_tenths": 2}},
        {"log": {"extra_fields": [{"code": "<script>", "labels": {"en": "x"}, "kind": "text"}]}},
        {"log": {"extra_fields": [{"code": "nul", "labels": {"en": "script\x00"}, "kind": "text"}]}},
        {"log": {"extra_fields": [{"code": "bus", "labels": {"en": "x"}}, {"code": "bus", "labels": {"en": "y"}}]}},
        {"log": {"extra_fields": [{"code": "bus", "labels": {"en": "x"}, "shown": True}]}},
        {"log": {"resources": []}},
        {"effective_from": "2026-11-28"},
    )
    for wrong in wrongs:
        refused = await world.http.put("/v1/policies/hartford", json={"version": 0, **wrong}, headers=headers("carl"))
        assert refused.status_code == 422, wrong
        assert "script" not in refused.text
    assert await world.pool.fetchval("SELECT count(*) FROM policy") == 0


async def test_what_a_district_decided_before_and_nobody_reads_stays_with_its_version_unsaid(world: World) -> None:
    await world.pool.execute(
        "INSERT INTO policy (district, version, effective_from, body, changed_by, changed_at)"
        " VALUES ('hartford', 1, '2026-01-01', $1, 'carl', now())",
        '{"desk": {"tries": 2, "log_days": 3, "extra_log_fields": [{"code": "snow"}]}}',
    )
    standing = (await world.http.get("/v1/policies/hartford")).json()
    assert (standing["version"], standing["desk"]["tries"]) == (1, 2)
    assert not {"log_days", "extra_log_fields"} & standing["desk"].keys()

    command = {"version": 1, "desk": {"tries": 5}}
    saved = await world.http.put("/v1/policies/hartford", json=command, headers=headers("carl"))
    assert saved.status_code == 200
    bodies = await world.pool.fetch(
        "SELECT body -> 'desk' ->> 'log_days', body -> 'desk' ->> 'tries' FROM policy ORDER BY version"
    )
    assert [tuple(row) for row in bodies] == [("3", "2"), (None, "5")]


async def test_the_index_serves_the_next_request_of_thousands(world: World) -> None:
    await world.pool.execute(
        """
        INSERT INTO request (household_key, district, school, opened_at, tries_from, aged_from, base_points)
        SELECT gen_random_uuid(), 'hartford', 'H01', $1, $1, $2, n % 500 FROM generate_series(1, 20000) AS n
        """,
        datetime.now(UTC),
        local_day(clock.now(), zone=HERE),
    )
    await world.pool.execute("ANALYZE request")
    plan = await world.pool.fetch(
        """
        EXPLAIN SELECT request_id FROM request
        WHERE stage IN ('new', 'claimed', 'contacting') AND district = 'hartford'
          AND (claimed_until IS NULL OR claimed_until <= now())
        ORDER BY pinned DESC, points DESC, opened_at, request_id LIMIT 1
        """
    )
    assert any("request_on_the_desk" in row[0] for row in plan)
    assert not any("Sort" in row[0] for row in plan)


async def test_the_sentence_and_a_refusal_are_said_in_the_readers_language(world: World) -> None:
    await world.deliver("absence-flags", flag(1, days_absent=21, days_enrolled=130))
    request = await the_request(world)
    path = f"/v1/requests/{request['request_id']}"
    world.http.cookies.set("language", "es")
    (clause,) = (await world.http.get(path)).json()["why"]
    assert (clause["code"], "21" in clause["says"], "Missed" in clause["says"]) == ("rate", True, False)
    refused = (await world.http.post(f"{path}/undo", json={"version": request["version"]})).json()
    assert (refused["code"], "not yours to undo" in refused["detail"]) == ("nothing_to_undo", False)
