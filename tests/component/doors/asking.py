"""Everybody asks everything: requests drawn from the table of routes, and what no answer may hold.

What somebody may see is said here a second time and in other words, by role: the table is not asked if it is right.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx

from contracts.access import ROUTES, Role
from tests import people
from tests.component.doors.districts import DISTRICTS, NOW, Mine, Town, family_name, pair_of, school, staff

PUBLISHED = {
    "GET /", "GET /state", "GET /resc", "GET /charts/published/{name}.svg", "GET /v1/measures", "GET /v1/published",
    "GET /v1/published/{name}", "GET /v1/published/{name}.csv", "GET /v1/effect", "GET /v1/effect.csv",
}  # fmt: skip
"""All that a state office, a RESC, an auditor or a visitor gets of the reports."""
OPEN = {
    "GET /sign-in", "POST /sign-in", "POST /sign-out", "POST /language",
    "GET /static/{path:path}", "GET /service-worker.js", "GET /manifest.webmanifest", "GET /offline",
}  # fmt: skip
DESCRIBED = "GET /openapi.json"
"""Says what there is to ask, to whoever is signed in."""
COUNTED = {"GET /v1/counts"}
BY_TOKEN = {
    "POST /v1/districts/{district}/attendance", "POST /v1/districts/{district}/roster", "GET /v1/receipts/{receipt}",
}  # fmt: skip
STREAMS = {"GET /events"}
"""Asked only by whoever is refused: an answer would not end."""

_NO_ROWS = {Role.STATE, Role.RESC, Role.OPERATIONS}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SCHOOLS = {school(each): each for each in DISTRICTS}
_FAMILIES = {family_name(each): each for each in DISTRICTS}
_NAMED = re.compile("|".join((*_SCHOOLS, *_FAMILIES)))
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")

# What an address calls a thing, and what it is.
_KINDS = {"log": "client_id", "client": "client_id", "visit": "visit_id", "referral": "referral_id"}
_TABLES = ("visits", "funnel", "chronic", "queue", "visitors", "logs", "school", "flagged-by-grade", "effect")


@dataclass(frozen=True, slots=True)
class Asker:
    """One person, as the test knows them."""

    name: str
    role: Role
    scopes: frozenset[str]

    def works_in(self, district: str) -> bool:
        """Tell whether the district is theirs."""
        return "*" in self.scopes or district in self.scopes

    def may_know(self, mine: Mine) -> bool:
        """Tell whether they may ever be shown it."""
        if self.role in _NO_ROWS or not self.works_in(mine.district):
            return False
        return self.role is not Role.VISITOR or self.name in mine.visited_by


ASKERS = tuple(Asker(name, Role(each["role"]), frozenset(each["scopes"])) for name, each in staff().items())


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: whose it is, about whose thing, by which route."""

    who: Asker
    route: str
    target: str
    path: str
    query: dict[str, str]
    body: dict[str, Any] | None
    form: dict[str, str] | None


@dataclass
class Found:
    """What came of all of them."""

    asked: int = 0
    foreign: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    routes: set[tuple[str, str]] = field(default_factory=set)
    leaks: list[str] = field(default_factory=list)

    def note(self, what: str, asked: Asked, answer: httpx.Response) -> None:
        """Remember a leak, so that it can be read where it is."""
        self.leaks.append(f"{what}: {asked.who.name} {asked.route} of {asked.target} -> {answer.status_code}")


def drawn(town: Town, count: int, seed: int, routes: Sequence[str] | None = None) -> Iterator[Asked]:
    """Draw requests: each route by each person at least once where there is room, the rest by chance."""
    dice = random.Random(seed)
    table = list(routes or ROUTES[town.name])
    pairs = [(route, who) for route in table for who in ASKERS]
    dice.shuffle(pairs)
    for number in range(count):
        route, who = pairs[number] if number < len(pairs) else (dice.choice(table), dice.choice(ASKERS))
        target = dice.choice(DISTRICTS)
        if route in STREAMS and who.role in (Role.SCHEDULER, Role.COORDINATOR):
            continue
        yield _asked(town, who, route, target, dice)


def _asked(town: Town, who: Asker, route: str, target: str, dice: random.Random) -> Asked:
    method, _, pattern = route.partition(" ")

    def named(match: re.Match[str]) -> str:
        name = match[1]
        if name == "path":
            return "leap.css"
        if name == "name":
            return dice.choice(_TABLES)
        known = town.ids[_KINDS.get(name, name)][target]
        return dice.choice(known) if known else str(uuid4())

    path = _PARAMETER.sub(named, pattern)
    query = {}
    if method == "GET" and dice.random() < 0.7:
        query = {"district": target, "day": (NOW + timedelta(days=dice.randrange(14))).date().isoformat()}
        if dice.random() < 0.3:
            query["visitor"] = dice.choice(pair_of(target))
    body = form = None
    if method in ("POST", "PUT", "DELETE"):
        if pattern.startswith("/v1/"):
            body = _body(town, route, target, path, dice)
        else:
            form = {"version": "1", "district": target, "words": family_name(target), "note": "seen"}
    if method == "DELETE":
        query, body = {"version": "1"}, None
    return Asked(who, route, target, path, query, body, form)


def _body(town: Town, route: str, target: str, path: str, dice: random.Random) -> dict[str, Any]:
    version = {"version": town.versions.get(path.split("/")[3] if path.count("/") > 3 else "", 1)}
    last = route.rsplit("/", 1)[1]
    bodies: dict[str, dict[str, Any]] = {
        "take-over": {"reason": "urgent"},
        "answer": {"answer": "not_reached"},
        "closing": {"because": "moved"},
        "reopening": {"wished_by": "family"},
        "appointment": {"starts_at": "2030-01-07T15:00:00Z", "place": "home", "pair": pair_of(target)},
        "reschedule": {"place": "community"},
        "offered-times": {"times": []},
        "visitors": {"visitor_id": dice.choice(pair_of(target)), "district": target,
                     "leap101_valid_from": "2026-01-01", "leap101_valid_until": "2030-01-01"},
        "status": {"version": 0, "status": "paused"},
        "amendments": {"note": "added"},
        "{referral_id}": {"status": "accepted"},
        "pay-rates": {"district": target, "effective_from": "2026-09-01", "hourly_cents": 1, "travel_hourly_cents": 1,
                      "mile_tenth_cents": 1, "show_up_cents": 1},
        "{client_id}": {"visit_id": dice.choice(town.ids["visit_id"][target] or [str(uuid4())]),
                        "outcome": "family_not_home", "started_at": (NOW - timedelta(days=1)).isoformat(),
                        "pair": pair_of(target)},
    }  # fmt: skip
    found = bodies.get(last, {})
    of_versions = "/requests/" in route or "/visitors" in route or "/policies/" in route
    return {**version, **found} if of_versions else found


async def ask_all(
    town: Town, count: int, *, seed: int = 1, at_once: int = 6, routes: Sequence[str] | None = None
) -> Found:
    """Ask that many, several at once, and hold every answer against what its reader may know."""
    found, requests = Found(), drawn(town, count, seed, routes)

    async def work(http: httpx.AsyncClient) -> None:
        for asked in requests:
            method = asked.route.partition(" ")[0]
            is_page = not asked.path.startswith("/v1/")
            headers = people.headers(asked.who.name) | ({"Accept": "text/html"} if is_page else {})
            answer = await http.request(
                method, asked.path, params=asked.query, json=asked.body, data=asked.form, headers=headers
            )
            _judge(town, asked, answer, found)

    async with town.client() as http:
        await asyncio.gather(*(work(http) for _ in range(at_once)))
    return found


def _judge(town: Town, asked: Asked, answer: httpx.Response, found: Found) -> None:
    who = asked.who
    found.asked += 1
    found.by_status[answer.status_code] += 1
    found.routes.add((town.name, asked.route))
    is_foreign = not who.works_in(asked.target)
    found.foreign += is_foreign
    if answer.status_code >= 500:
        found.note("broken", asked, answer)
    if asked.route in OPEN | BY_TOKEN or asked.route == DESCRIBED:
        return
    got = answer.status_code < 400
    if got and who.role in _NO_ROWS and not _is_theirs(town, asked):
        found.note("answered a role that reads published figures", asked, answer)
    if got and "{" in asked.route and is_foreign and asked.route not in PUBLISHED:
        found.note("answered about another district", asked, answer)
    for what in _foreign(town, asked, answer.text):
        found.note(f"told {what}", asked, answer)


def _is_theirs(town: Town, asked: Asked) -> bool:
    if asked.who.role is Role.OPERATIONS and (asked.route in COUNTED or "/status" in asked.route):
        return True
    return town.name == "reporting" and asked.route in PUBLISHED


def _foreign(town: Town, asked: Asked, text: str) -> Iterator[str]:
    # What they sent is no secret to them: a page leads back to the address that was asked for.
    sent = f"{asked.path} {asked.query} {asked.body} {asked.form}"
    for named in {*_UUID.findall(text)}:
        mine = town.owners.get(named)
        if mine is not None and named not in sent and not asked.who.may_know(mine):
            yield f"an id of {mine.district}"
    for named in {*_NAMED.findall(text)}:
        district = _SCHOOLS.get(named) or _FAMILIES[named]
        allowed = asked.who.works_in(district) and asked.who.role not in _NO_ROWS
        if named not in sent and not allowed:
            yield f"{named} of {district}"
