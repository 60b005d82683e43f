"""Hartford's desk as tests set it up: people, visitors, a household that agreed; and commands at the version shown."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from httpx import Response

from contracts import events
from services.runtime import clock
from services.runtime.web.people import Person
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.requests import RecordAttempt, record_attempt
from services.scheduling.rules.visits import Answer, Way
from services.scheduling.store import changes
from tests.component.visit_events import World, flag, household, of_visit
from tests.delivering import transactions
from tests.people import headers
from tests.zones import HERE

ANA = Person(name="ana", display_name="Ana Example", role="scheduler", scopes=frozenset({"hartford"}), language="en")


def ahead(hour: int = 16, minute: int = 0, *, days: int = 7) -> datetime:
    """A time on the local clock of the first Monday that is at least `days` days ahead, or of the days after it."""
    today = clock.now().astimezone(HERE).date()
    monday = today + timedelta(days=7 - today.weekday())
    return datetime.combine(monday + timedelta(days=days), time(hour, minute), HERE)


async def register(world: World, *names: str, **facts: Any) -> None:
    """Visitors with valid training, as ana registers them."""
    today = clock.now().date()
    for name in names:
        command = {
            "visitor_id": name,
            "district": "hartford",
            "leap101_valid_from": str(today - timedelta(days=30)),
            "leap101_valid_until": str(today + timedelta(days=365)),
        }
        saved = await world.http.post("/v1/visitors", json=command | facts)
        assert saved.status_code == 201, saved.text


async def agreed(world: World, number: int = 1) -> dict[str, Any]:
    """A household, flagged, whose family said yes on the phone; the request as it is shown."""
    await world.deliver("absence-flags", flag(number, household_number=number))
    row = await world.pool.fetchrow(
        "SELECT request_id, version FROM request WHERE household_key = $1", household(number)
    )
    assert row is not None
    async with transactions(world.pool)() as tx:
        yes = RecordAttempt(version=row["version"], way=Way.CALL, answer=Answer.AGREED)
        await record_attempt(Act(tx=tx, person=ANA, as_of=clock.now(), subject=row["request_id"], sent=yes))
    return await shown(world, str(row["request_id"]))


async def shown(world: World, request_id: str) -> dict[str, Any]:
    """The request as it stands."""
    find = f"SELECT {changes.REQUEST_COLUMNS} FROM request WHERE request_id = $1"
    row = await world.pool.fetchrow(find, UUID(request_id))
    assert row is not None
    return {**dict(row), "request_id": request_id}


async def act(world: World, request: dict[str, Any], what: str, actor: str = "ana", **body: Any) -> Response:
    """One command on a request, at the version it was shown at."""
    return await world.http.post(
        f"/v1/requests/{request['request_id']}/{what}",
        json={"version": request["version"], **body},
        headers=headers(actor),
    )


async def appoint(world: World, request: dict[str, Any], *, actor: str = "ana", **body: Any) -> Response:
    """An hour at home with marisol and omar, a week from now, unless the test says otherwise."""
    ordinary = {"starts_at": ahead().isoformat(), "place": "home", "pair": ["marisol", "omar"]}
    return await act(world, request, "appointment", actor, **ordinary | body)


def codes(refused: Response) -> list[str]:
    """The rules that a refusal names."""
    assert refused.status_code == 422, refused.text
    return [reason["code"] for reason in refused.json()["reasons"]]


def completed(visit_id: str, number: int = 1) -> events.VisitCompleted:
    """The log of a visit that took place."""
    log = of_visit(events.VisitCompleted, visit_id=visit_id, household_key=household(number))
    assert isinstance(log, events.VisitCompleted)
    return log
