"""What machines ask is on a port of its own: the pages' has none of it, and the machines' has nothing else."""

import httpx
import pytest

from services.runtime.seen.metric import about
from services.runtime.settings import Settings
from services.runtime.web.application import application
from services.runtime.web.operations import operations

GIVEN = {"LEAP_KAFKA_BOOTSTRAP_SERVERS": "k:9092", "LEAP_DATABASE_URL": "postgresql://"}


async def nothing() -> None: ...


async def ready() -> str:
    return "starting"


machines = operations("little", alive=lambda: "", ready=ready, measure=nothing, revision=lambda: "schema little/0001")


async def status(app: object, path: str) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as client:  # type: ignore[arg-type]
        return (await client.get(path)).status_code


@pytest.mark.parametrize(("path", "answered"), [("/livez", 200), ("/readyz", 503), ("/metrics", 200)])
async def test_machines_are_answered_on_their_port_and_not_on_the_pages(path: str, answered: int) -> None:
    assert await status(machines, path) == answered
    assert await status(application("little"), path) == 404


@pytest.mark.parametrize("path", ["/", "/v1/counts", "/sign-in", "/openapi.json", "/docs"])
async def test_nothing_else_is_there(path: str) -> None:
    assert await status(machines, path) == 404


def test_the_port_is_above_the_other_unless_it_is_said() -> None:
    assert Settings.from_environment({**GIVEN, "LEAP_HTTP_PORT": "8003"}).port_of_operations == 9003
    assert Settings.from_environment({**GIVEN, "LEAP_OPERATIONS_PORT": "7000"}).port_of_operations == 7000


def test_numbers_of_people_are_told_to_tens_and_never_from_one_to_nine() -> None:
    assert [about(people) for people in (0, 1, 5, 6, 10, 11, 119)] == [0, 10, 10, 10, 10, 20, 120]
