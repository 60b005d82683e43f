"""Whatever is sent to scheduling's routes: a clear refusal, nothing lost, and never a failure of ours."""

from pathlib import Path

from fastapi import FastAPI

from services.runtime.testing import served
from services.scheduling.app import service
from tests.component.visit_events import World, contact, flag
from tests.hostile import break_every_route
from tests.people import headers, people


async def test_no_route_breaks_and_none_answers_nobody(world: World, tmp_path: Path) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver("absence-flags", flag(1), flag(2, household_number=2))
    request_id = await world.pool.fetchval("SELECT request_id FROM request LIMIT 1")
    app = served(service, world.pool, people(tmp_path))

    problems = await break_every_route(
        app, headers=headers("carl"), paths={"request_id": str(request_id), "district": "hartford"}
    )

    assert problems == []
    assert await world.pool.fetchval("SELECT count(*) FROM request") == 2


async def test_a_route_that_breaks_or_answers_nobody_is_found() -> None:
    app = FastAPI()

    @app.get("/v1/halves/{number}")
    async def half(number: int) -> float:
        return 1 / (number - number)

    found = await break_every_route(app, headers={}, paths={"number": 1}, examples=2)
    assert "GET /v1/halves/{number}: 500" in found
    assert "GET /v1/halves/{number}: 500 without a key" in found
