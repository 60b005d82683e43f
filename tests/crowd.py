"""Many people at one desk at once: they claim, ask families, look for a pair and appoint, all of them over HTTP.

The same crowd works in front of the application in this process and in front of a service that is killed meanwhile:
whoever hears no answer looks up what became of the command before saying it again, as a person would.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import httpx

TRAVEL = timedelta(minutes=30)
HOURS = range(8, 18, 2)
DEADLINE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A change that somebody was told is made."""

    request_id: str
    version: int
    person: str


class Crowd:
    """`client` gives a person's HTTP client; `first_day` is the Monday of the week in which visits are looked for."""

    def __init__(
        self,
        *,
        client: Callable[[str], httpx.AsyncClient],
        people: Sequence[str],
        visitors: Sequence[str],
        first_day: datetime,
        seed: int = 1,
    ) -> None:
        self.client, self.people, self.visitors, self.first_day = client, people, visitors, first_day
        self.seed = seed
        self.acknowledged: list[Acknowledged] = []
        self.refused: Counter[str] = Counter()
        self.interrupted = 0

    async def work(self) -> None:
        """Return when nothing waits any more and everybody is done."""
        async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as all_of_them:
            for name in self.people:
                all_of_them.create_task(self._work(name))

    async def _work(self, name: str) -> None:
        chance = random.Random(f"{self.seed} {name}")
        async with self.client(name) as http:
            mine: set[str] = set()
            while (claimed := await self._claim_next(http, name, mine)) is not None:
                mine.add(claimed["request_id"])
                answer = chance.choices(("agreed", "community", "declined", "not_reached"), (14, 2, 2, 2))[0]
                answered = await self._command(http, name, claimed, "answer", {"answer": answer})
                if answered is None:
                    continue
                # What was read before the answer is old by now: said again, it must change nothing.
                await self._say_old_version(http, claimed)
                if answered["stage"] == "agreed":
                    await self._appoint(http, name, answered, chance)

    async def _claim_next(self, http: httpx.AsyncClient, name: str, mine: set[str]) -> dict[str, Any] | None:
        while True:
            answer = await self._send(http, "POST", "/v1/requests/next/claim?district=hartford")
            if answer is None:
                found = await self._must(http, "/v1/requests?district=hartford&stage=claimed&limit=1000")
                for request in found["requests"]:
                    if request["claimed_by"] == name and request["request_id"] not in mine:
                        return self._done(request, name)
                continue
            if answer.status_code == 204:
                return None
            assert answer.status_code == 200, answer.text
            return self._done(answer.json(), name)

    async def _appoint(
        self, http: httpx.AsyncClient, name: str, request: dict[str, Any], chance: random.Random
    ) -> None:
        starts_at = self._some_time(chance)
        window = {"begins_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=1)).isoformat()}
        # Everybody is proposed the same best pair: at most one of them gets it.
        proposed = await self._must(http, f"/v1/requests/{request['request_id']}/pairs", window)
        pairs = [each["pair"] for each in proposed["pairs"]][:1]
        while True:
            pair = pairs.pop() if pairs else chance.sample(self.visitors, 2)
            wish = {"starts_at": starts_at.isoformat(), "place": "home", "pair": pair, "minutes": 60}
            if await self._command(http, name, request, "appointment", wish) is not None:
                return
            starts_at = self._some_time(chance)

    def _some_time(self, chance: random.Random) -> datetime:
        return self.first_day.replace(hour=chance.choice(HOURS)) + timedelta(days=chance.randrange(5))

    async def _command(
        self, http: httpx.AsyncClient, name: str, request: dict[str, Any], what: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The request after the command; None when it was refused."""
        path = f"/v1/requests/{request['request_id']}"
        while True:
            answer = await self._send(http, "POST", f"{path}/{what}", {"version": request["version"], **body})
            if answer is None:
                standing = await self._must(http, path)
                if standing["version"] > request["version"]:
                    # Nobody else may change what this person holds: the command was heard, only its answer was lost.
                    return self._done(standing, name)
                continue
            if answer.status_code in (409, 422):
                self.refused[answer.json()["code"]] += 1
                return None
            assert answer.status_code == 200, answer.text
            return self._done(answer.json(), name)

    async def _say_old_version(self, http: httpx.AsyncClient, request: dict[str, Any]) -> None:
        body = {"version": request["version"], "answer": "declined"}
        answer = await self._send(http, "POST", f"/v1/requests/{request['request_id']}/answer", body)
        assert answer is None or (answer.status_code, answer.json()["code"]) == (409, "stale_version"), answer.text

    def _done(self, request: dict[str, Any], name: str) -> dict[str, Any]:
        self.acknowledged.append(Acknowledged(request["request_id"], request["version"], name))
        return request

    async def _must(self, http: httpx.AsyncClient, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        while (answer := await self._send(http, "GET", path, params=params)) is None:
            pass
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    async def _send(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """The answer; None when there was none: the service is away, and what became of the command is not known."""
        try:
            answer = await http.request(method, path, json=body, params=params)
        except httpx.TransportError:
            self.interrupted += 1
            await asyncio.sleep(0.2)  # a person who looks whether the page is back
            return None
        # While the service starts it knows no route yet: a 404 of its own says with a code what is not there.
        starting = answer.status_code == 404 and "code" not in answer.json()
        return None if starting or answer.status_code == 503 else answer


async def assert_the_desk_is_sound(connection: "asyncpg.Connection[asyncpg.Record]", crowd: Crowd) -> None:
    """Check what must hold after any crowd: one holder each, nobody booked twice, no update lost."""
    held = await connection.fetch(
        "SELECT request_id, array_agg(actor) AS by FROM request_history WHERE what = 'claimed' GROUP BY request_id"
    )
    assert [row["request_id"] for row in held if len(row["by"]) > 1] == [], "claimed more than once"

    agreed = await connection.fetch(
        """
        SELECT DISTINCT ON (visit_id) visit_id, starts_at, minutes, first_visitor, second_visitor
        FROM appointment JOIN visit USING (visit_id) WHERE state = 'scheduled' ORDER BY visit_id, revision DESC
        """
    )
    assert agreed, "a crowd that appoints nothing proves nothing"
    free_at: dict[str, datetime] = {}
    for row in sorted(agreed, key=lambda row: row["starts_at"]):
        for who in (row["first_visitor"], row["second_visitor"]):
            assert row["starts_at"] >= free_at.get(who, row["starts_at"]), f"{who} is booked twice"
            free_at[who] = row["starts_at"] + timedelta(minutes=row["minutes"]) + TRAVEL

    history = await connection.fetch(
        "SELECT request_id, version, actor, before FROM request_history ORDER BY request_id, version"
    )
    actors = {(str(row["request_id"]), row["version"]): row["actor"] for row in history}
    versions = {str(row["request_id"]): row["version"] for row in await connection.fetch("SELECT * FROM request")}
    for former, row in pairwise(history):
        if row["before"] is not None and former["request_id"] == row["request_id"]:
            made_of = json.loads(row["before"])["version"]
            assert made_of == former["version"], "every version has its row of history"
    assert all((request_id, versions[request_id]) in actors for request_id in versions)
    for each in crowd.acknowledged:
        assert actors[(each.request_id, each.version)] == each.person, "what was acknowledged is not there"
    assert len(set(crowd.acknowledged)) == len(crowd.acknowledged)
    by_people = {version for version, actor in actors.items() if actor is not None}
    assert by_people == {(each.request_id, each.version) for each in crowd.acknowledged}, "made, but told to nobody"
    waiting = await connection.fetchval("SELECT count(*) FROM request WHERE stage IN ('new', 'claimed')")
    assert waiting == 0, "everybody went home while a request waited"
