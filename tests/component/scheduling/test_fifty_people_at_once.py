"""Fifty people act on two hundred requests at once, over HTTP: none is held twice and no change is lost."""

import asyncio
import json
import random
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from contracts.calendar import local_day
from services.runtime import clock
from services.scheduling.app import service
from services.scheduling.rules.visits import CLAIM_LEASE
from tests.component.scheduling.conftest import FIFTY
from tests.component.visit_events import World, flag
from tests.delivering import served
from tests.people import headers, people
from tests.zones import HERE

REQUESTS = 200
ROUNDS = 12


@asynccontextmanager
async def behind_a_socket(app: FastAPI) -> AsyncIterator[str]:
    """The application's address while it is served."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def flags_go_on(world: World, luck: random.Random) -> None:
    """Meanwhile corrections clear some children's flags, and siblings are flagged."""
    for version in range(2, 8):
        numbers = luck.sample(range(1, REQUESTS + 1), 30)
        changed = [
            flag(n, household_number=n, version=version, level="none" if version % 2 == 0 else "chronically_absent",
                 kind="cleared" if version % 2 == 0 else "raised")
            for n in numbers[:20]
        ]  # fmt: skip
        joining = [flag(1000 * version + n, household_number=n) for n in numbers[20:]]
        await world.deliver("absence-flags", *changed, *joining)


async def a_persons_work(
    client: httpx.AsyncClient, name: str, ids: list[str], luck: random.Random, answered: list[tuple[str, str, int]]
) -> Counter[str]:
    """Claims, answers, releases, undoes: what comes up, on whatever it finds; the statuses it met."""
    met: Counter[str] = Counter()
    who = headers(name)

    async def act(path: str, **body: Any) -> httpx.Response:
        response = await client.post(path, json=body or None, headers=who)
        met[str(response.status_code)] += 1
        if response.status_code == 200:
            answered.append((name, response.json()["request_id"], response.json()["version"]))
        return response

    for _ in range(ROUNDS):
        if luck.random() < 0.5:
            response = await act("/v1/requests/next/claim")
        else:
            chosen = luck.choice(ids)
            seen = (await client.get(f"/v1/requests/{chosen}", headers=who)).json()
            response = await act(f"/v1/requests/{chosen}/claim", version=seen["version"])
        if response.status_code != 200:
            continue
        request = response.json()
        path = f"/v1/requests/{request['request_id']}"
        kind = luck.choice(["agreed", "declined", "not_reached", "later", "release", "undo", "moved"])
        if kind in ("release", "undo"):
            await act(f"{path}/{kind}", version=request["version"])
        else:
            day = (
                {"contact_again_on": str(local_day(clock.now(), zone=HERE) + timedelta(days=9))}
                if kind == "later"
                else {}
            )
            await act(f"{path}/answer", version=request["version"], way="call", answer=kind, **day)
    return met


async def test_fifty_people_act_on_two_hundred_requests_at_once(world: World, tmp_path: Any) -> None:
    await world.deliver("absence-flags", *(flag(n, household_number=n) for n in range(1, REQUESTS + 1)))
    ids = [str(row["request_id"]) for row in await world.pool.fetch("SELECT request_id FROM request")]
    answered: list[tuple[str, str, int]] = []
    app = served(service, world.pool, people(tmp_path, **FIFTY))

    limits = httpx.Limits(max_connections=60)
    async with (
        behind_a_socket(app) as address,
        httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client,
    ):
        flags = asyncio.create_task(flags_go_on(world, random.Random("seed of the flags")))
        met = await asyncio.gather(
            *(a_persons_work(client, name, ids, random.Random(f"seed of {name}"), answered) for name in sorted(FIFTY))
        )
        await flags
    statuses: Counter[str] = sum(met, Counter())

    assert set(statuses) <= {"200", "204", "409", "422"}, statuses
    assert statuses["200"] > REQUESTS
    await nobody_lost_anything(world, answered)


async def nobody_lost_anything(world: World, answered: list[tuple[str, str, int]]) -> None:
    """Every change that was answered is a version of its own, in the history under its person's name, and told once."""
    requests = {str(row["request_id"]): row for row in await world.pool.fetch("SELECT * FROM request")}
    history = await world.pool.fetch("SELECT * FROM request_history ORDER BY request_id, version")
    by_request = defaultdict(list)
    for row in history:
        by_request[str(row["request_id"])].append(row)

    # No lost update: each change was made on what the one before it left, the stages a chain.
    for request_id, rows in by_request.items():
        assert rows[-1]["version"] == requests[request_id]["version"]
        for former, row in pairwise(rows):
            assert row["from_stage"] == former["to_stage"]
            assert row["before"] is None or json.loads(row["before"])["version"] == former["version"]
        assert rows[-1]["to_stage"] == requests[request_id]["stage"]
    # What people were told happened is what happened.
    made = {(row["actor"], str(row["request_id"]), row["version"]) for row in history if row["actor"]}
    assert len(answered) == len(set(answered))
    assert made == set(answered)
    held_by_one(by_request)
    await each_change_is_told_once(world, history)


def held_by_one(by_request: dict[str, list[Any]]) -> None:
    """Between one person's claim and its end nobody else changed the request."""
    for rows in by_request.values():
        holder, until = None, None
        for row in rows:
            if holder is not None and row["actor"] not in (None, holder) and until is not None:
                assert row["at"] >= until
            if row["what"] == "claimed":
                holder, until = row["actor"], row["at"] + CLAIM_LEASE
            elif row["what"] in ("released", "undone") or row["to_stage"] == "closed":
                holder, until = None, None


async def each_change_is_told_once(world: World, history: list[Any]) -> None:
    """Every change of stage has one event of its version, every contact another; no event has a twin."""
    told = [json.loads(row["payload"]) for row in await world.pool.fetch("SELECT payload FROM outbox ORDER BY id")]
    assert len({event["event_id"] for event in told}) == len(told)
    stages = Counter(
        (event["request_id"], event["version"], event["previous_stage"], event["stage"])
        for event in told
        if event["event_type"] == "visit-request.stage-changed.v1"
    )
    moved = Counter(
        (str(row["request_id"]), row["version"], row["from_stage"], row["to_stage"])
        for row in history
        if row["from_stage"] not in (None, row["to_stage"])
    )
    assert stages == moved
    contacts = Counter(
        (event["request_id"], event["version"]) for event in told if event["event_type"] == "contact.attempted.v1"
    )
    assert contacts == Counter((str(r["request_id"]), r["version"]) for r in history if r["what"] == "contacted")
    assert set(contacts.values()) <= {1}
    # In order of their versions: a household's later change is not told before its earlier one.
    last: dict[str, int] = {}
    for event in told:
        assert event["version"] >= last.get(event["request_id"], 0)
        last[event["request_id"]] = event["version"]
