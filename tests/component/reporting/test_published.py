"""What is published: frozen at a month's end, the same by every way, and nobody else's district live."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts import events
from services.reporting.reports.published import publish
from services.reporting.rules.sixes import told
from services.runtime import clock
from tests.component.reporting.conftest import ReportingWorld
from tests.component.visit_events import flag
from tests.delivering import record, transactions
from tests.hartford_spring import HARTFORD_TRAINED, HARTFORD_VISITS, STATE_VISITS, Happened, hartford_spring
from tests.zones import HERE

AFTER_JUNE = datetime(2021, 7, 15, 12, 0, tzinfo=UTC)


async def deliver(world: ReportingWorld, happened: list[Happened]) -> None:
    await world.deliver_records(
        [
            record(each.topic, 0, offset, each.event.model_dump_json(), key=each.key)
            for offset, each in numbered(happened)
        ]
    )


def numbered(happened: list[Happened]) -> list[tuple[int, Happened]]:
    counted: dict[str, int] = {}
    numbers = []
    for each in happened:
        counted[each.topic] = counted.get(each.topic, -1) + 1
        numbers.append((counted[each.topic], each))
    return numbers


async def released(world: ReportingWorld, now: datetime) -> date | None:
    return await publish(transactions(world.pool), now=now, zone=HERE)


def line_of(document: dict[str, Any], **keys: str) -> dict[str, Any]:
    (line,) = [each for each in document["lines"] if all(each[key] == value for key, value in keys.items())]
    assert isinstance(line, dict)
    return line


def told_visits(happened: Iterable[Happened], district: str | None = None) -> int:
    """What is published of these visits: by district, households visited once, twice as many of those visited again,
    and the visits beyond, each by its six.
    """
    logged = [each.event for each in happened if isinstance(each.event, events.VisitCompleted)]
    visits_by_household = Counter((each.district, each.household_key) for each in logged)
    parts: list[tuple[int, int]] = []
    for each in {of for of, _ in visits_by_household} if district is None else {district}:
        visits = [number for (of, _), number in visits_by_household.items() if of == each]
        once, again = visits.count(1), sum(number > 1 for number in visits)
        parts += [(1, once), (2, again), (1, sum(visits) - once - 2 * again)]
    return told(parts)


async def test_hartfords_first_spring_is_half_of_the_states_visits(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring())
    assert await released(world, AFTER_JUNE) == date(2021, 6, 30)

    visits = await world.told("/v1/published/visits", "state")
    assert line_of(visits, district="hartford")["visits"] == told_visits(hartford_spring(), "hartford") == 202
    assert line_of(visits, district="hartford")["share_of_state"] == pytest.approx(50.0, abs=1.0)
    assert line_of(visits, district="state")["visits"] == told_visits(hartford_spring())
    assert told_visits(hartford_spring()) == pytest.approx(STATE_VISITS, abs=2.5 * 15)
    assert told_visits(hartford_spring(), "hartford") == pytest.approx(HARTFORD_VISITS, abs=3 * 2.5 + 0.5)
    # Hidden so that a smaller district's is not told by the state's: 28, as it is told by itself.
    assert line_of(visits, district="new-haven")["visits"] == "*"
    assert line_of(visits, district="new-haven")["visits_per_100_flagged"] == "*"
    trained = (await world.told("/v1/published/visitors", "state"))["lines"]
    assert line_of({"lines": trained}, district="hartford")["trained"] == HARTFORD_TRAINED == 30
    assert max(line["trained"] for line in trained if line["district"] != "state") == 30
    assert (visits["cut_off"], visits["school_year"]) == ("2021-06-30", 2020)
    assert visits["as_of"] < "2021-07-01"
    paid = line_of(await world.told("/v1/published/compensation", "state"), district="hartford")
    assert paid == {"district": "hartford", "visit_minutes": 202 * 90, "travel_minutes": 202 * 50, "miles": 202 * 12.4}


async def test_the_page_of_the_state_tells_hartfords_spring(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring())
    await released(world, AFTER_JUNE)
    page = await world.page("/state", "state")
    assert page.status_code == 200
    assert '<td class="number">202</td>' in page.text
    assert "50.0 %" in page.text
    assert "June 30, 2021" in page.text


async def test_a_release_is_made_once_and_stays_as_it_is(world: ReportingWorld) -> None:
    spring = hartford_spring()
    middle = len(spring) * 2 // 3
    await deliver(world, spring[:middle])
    assert await released(world, datetime(2021, 6, 15, 12, 0, tzinfo=UTC)) == date(2021, 5, 31)
    first = await world.told("/v1/published/visits", "state")

    # What comes late, or again, changes nothing that was published; two versions would tell what each of them hides.
    await deliver(world, spring)
    assert await released(world, datetime(2021, 6, 20, 12, 0, tzinfo=UTC)) is None
    assert await world.told("/v1/published/visits", "state") == first

    assert await released(world, AFTER_JUNE) == date(2021, 6, 30)
    assert (await world.told("/v1/published/visits", "state"))["cut_off"] == "2021-06-30"
    assert await world.told("/v1/published/visits?cut_off=2021-05-31", "state") == first
    assert (await world.told("/v1/published", "state"))["cut_offs"] == ["2021-06-30", "2021-05-31"]


async def test_without_attendance_a_release_waits_for_the_15th_and_counts_nothing_behind_its_cut_off(
    world: ReportingWorld,
) -> None:
    await deliver(world, hartford_spring())
    assert await released(world, datetime(2021, 5, 15, 3, 0, tzinfo=UTC)) is None
    assert await released(world, datetime(2021, 5, 31, 12, 0, tzinfo=UTC)) == date(2021, 4, 30)
    april = line_of(await world.told("/v1/published/visits", "state"), district="state")["visits"]
    until = datetime(2021, 5, 1, 4, 0, tzinfo=UTC)
    assert april == told_visits(each for each in hartford_spring() if each.event.occurred_at < until) > 0


async def test_before_the_first_release_nothing_is_published(world: ReportingWorld) -> None:
    assert (await world.told("/v1/published", "state"))["cut_offs"] == []
    assert (await world.ask("/v1/published/visits", "state")).status_code == 404
    page = await world.page("/state", "state")
    assert page.status_code == 200
    assert "Nothing is published yet" in page.text
    assert await released(world, AFTER_JUNE) is None


async def test_json_csv_page_and_chart_hide_the_same_numbers(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring())
    await released(world, AFTER_JUNE)
    document = await world.told("/v1/published/visits", "state")
    hidden = {line["district"] for line in document["lines"] if line["visits"] == "*"}
    assert hidden
    rows = csv.DictReader(io.StringIO((await world.ask("/v1/published/visits.csv", "state")).text))
    assert {row["district"] for row in rows if row["visits"] == "*"} == hidden
    page = (await world.page("/state", "state")).text
    section = page[page.index('id="visits"') : page.index('id="funnel"')]
    assert section.count('<td class="number suppressed">') >= len(hidden)
    chart = (await world.ask("/charts/published/visits.svg", "state")).text
    assert chart.count(">hidden<") == len(hidden)
    assert chart.count("<title") == chart.count("<desc") == 1


async def test_a_resc_sees_its_districts_side_by_side_and_the_state(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring())
    await released(world, AFTER_JUNE)
    for name in ("visits", "funnel", "visitors"):
        lines = (await world.told(f"/v1/published/{name}", "rosa"))["lines"]
        assert [line["district"] for line in lines] == ["danbury", "hartford", "state"]
    page = await world.page("/resc", "rosa")
    assert "Danbury" in page.text
    assert "Windham" not in page.text


OF_HARTFORD = (
    "/v1/districts/hartford/visits",
    "/v1/districts/hartford/visits.csv",
    "/v1/districts/hartford/schools/HAR01/school",
    "/districts/hartford",
    "/districts/hartford/schools/HAR01",
    "/charts/districts/hartford/funnel.svg",
)


async def test_live_numbers_of_a_district_are_its_own_alone(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring()[:200])
    for who in ("state", "audit", "rosa", "ops", "ana", "marisol"):
        for path in OF_HARTFORD:
            refused = 403 if path.startswith("/v1/") else 404
            assert (await world.ask(path, who)).status_code == refused, (who, path)
        assert (await world.ask("/v1/funnel", who)).status_code == 403


async def test_another_district_does_not_exist_for_a_coordinator(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring())
    assert (await world.ask("/v1/districts/hartford/visits", "carl")).status_code == 200
    unknown = await world.ask("/v1/districts/nowhere/visits", "carl")
    foreign = await world.ask("/v1/districts/danbury/visits", "carl")
    assert (foreign.status_code, foreign.json()) == (unknown.status_code, unknown.json())
    assert foreign.status_code == 404


async def test_only_operations_counts_what_the_projections_hold(world: ReportingWorld) -> None:
    assert (await world.ask("/v1/counts", "dana")).status_code == 403
    assert (await world.ask("/v1/counts", "ops")).status_code == 200
    assert (await world.http.get("/v1/published")).status_code == 401


HOSTILE = (
    "/v1/published/<script>alert(1)</script>",
    "/v1/published/visits%27%3B%20DROP%20TABLE%20release",
    "/v1/published/visits?cut_off=2021-02-30",
    "/v1/published/visits?cut_off=%00",
    "/v1/published/visits?cut_off=1999-12-31",
    "/v1/published/queue",
    "/v1/districts/HARTFORD/visits",
    "/v1/districts/hartford/" + "x" * 5000,
    "/v1/districts/hartford/schools/%00/school",
    "/v1/districts/hartford/schools/nowhere/school",
    "/districts/hartford/schools/%3Cscript%3E",
    "/state?cut_off=yesterday",
    "/charts/published/queue.svg",
    "/charts/published/nothing.svg",
)


async def test_hostile_and_mistaken_addresses_get_a_clear_refusal(world: ReportingWorld) -> None:
    await deliver(world, hartford_spring()[:200])
    await released(world, AFTER_JUNE)
    for path in HOSTILE:
        for answer in (await world.ask(path, "dana"), await world.page(path, "dana")):
            assert answer.status_code in (404, 422), (path, answer.text)
            assert "<script>" not in answer.text
    assert (await world.told("/v1/published/visits"))["lines"]


@pytest.mark.parametrize(("days", "published"), [(0, []), (4, []), (5, ["2021-06-30"])])
async def test_the_timer_publishes_by_the_services_own_clock_and_waits_for_a_service_that_is_behind(
    world: ReportingWorld, tmp_path: Path, days: int, published: list[str]
) -> None:
    """The newest that is known is of June: from the 15th of July on it is asked whether more will come."""
    await deliver(world, hartford_spring())
    assert await timer_at(world, AFTER_JUNE + timedelta(days=days), tmp_path) == published


async def test_a_service_that_knows_of_yesterday_publishes_on_the_15th(world: ReportingWorld, tmp_path: Path) -> None:
    await deliver(world, hartford_spring())
    await world.deliver("flags", flag(1, occurred_at=AFTER_JUNE - timedelta(days=1), school_year=2021))
    assert await timer_at(world, AFTER_JUNE, tmp_path) == ["2021-06-30"]


def moved_to(moment: datetime, folder: Path) -> Path:
    """Write by how much a clock is moved that says this moment."""
    file = folder / "moved"
    file.write_text(str((moment - datetime.now(UTC)).total_seconds()))
    return file


async def timer_at(world: ReportingWorld, moment: datetime, folder: Path) -> list[str]:
    """Run the timer when the service's clock says the moment; the cut-offs published then."""
    from services.reporting.app import PUBLICATION

    clock.use(moved_to(moment, folder))
    try:
        await PUBLICATION.run(world.context)
    finally:
        clock.use(None)
    found = (await world.told("/v1/published", "state"))["cut_offs"]
    assert isinstance(found, list)
    return found
