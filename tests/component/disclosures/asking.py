"""Asks every route there is, searches each answer for what was planted, and holds it against what was recorded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import fastapi
import httpx

from services.runtime.web.application import routes_by_person
from tests import people

DOCUMENT = Path(__file__).parents[3] / "deploy" / "DISCLOSURES.md"

NAME, CHILD, PHONE, ADDRESS = "Quenzabel Vexmoor", "Tiblorin", "+1 (203) 555-0187", "Zwyndrake"
SAID, NOTED, AMENDED = "Murmelohopes", "Murmeloprivate", "Murmeloamended"

# What is found, and which records cover it: a contact is more than a name.
COVERED_BY: Mapping[str, frozenset[str]] = {
    "name": frozenset({"name", "contact"}),
    "contact": frozenset({"contact"}),
    "words": frozenset({"words"}),
    "note": frozenset({"note"}),
    "days": frozenset({"days"}),
}

# What no test of one answer can wait for, or what says nothing of anybody.
NOT_ASKED = {
    "GET /events": "a stream of ids and versions without an end",
    "GET /static/{path:path}": "our own files",
    "POST /sign-out": "ends the session",
}
ROLES = ("ana", "carl", "marisol", "omar", "audit", "dana", "state", "ops")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One way to ask a route, beyond its address."""

    query: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    json: Any = None


@dataclass(kw_only=True)
class Asked:
    """What came of asking: how often, what was wrong, and what each route recorded: what, why, through which door."""

    answers: int = 0
    found: int = 0
    complaints: list[str] = field(default_factory=list)
    recorded: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Doors:
    """A service with everything planted: its routes, what stands in their addresses, how each is asked."""

    app: fastapi.FastAPI
    pool: "asyncpg.Pool[asyncpg.Record]"
    household_key: UUID
    days: re.Pattern[str]
    addresses: Mapping[str, str]
    sent: Mapping[str, Sequence[Sent]]


async def ask_everything(doors: Doors, roles: Sequence[str] = ROLES) -> Asked:
    """Ask every route as everybody: first those that change nothing, so that what is planted is still there."""
    asked = Asked()
    named = routes_by_person(doors.app)
    every = sorted(named[True] | named[False], key=lambda route: (not route.startswith("GET"), route))
    for route in every:
        if route in NOT_ASKED or route.startswith("HEAD "):
            continue
        for ways in doors.sent.get(route, (Sent(),)):
            for role in roles:
                await _ask_one(doors, asked, route, ways, role)
    return asked


async def _ask_one(doors: Doors, asked: Asked, route: str, sent: Sent, role: str) -> None:
    method, pattern = route.split(" ", 1)
    address = re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: doors.addresses.get(part[1], "none"), pattern)
    # Pages without JavaScript get a form, /v1 gets JSON; empty where nothing was said.
    headers = people.headers(role) | {"Accept": "application/json" if pattern.startswith("/v1/") else "text/html"}
    body: dict[str, Any] = {}
    if method != "GET":
        is_page = not pattern.startswith("/v1/")
        body = {"data": sent.form or {}} if is_page else {"json": {} if sent.json is None else sent.json}
        if is_page:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
    before = await doors.pool.fetchval("SELECT coalesce(max(disclosure), 0) FROM disclosed")
    transport = httpx.ASGITransport(app=doors.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http:
        answer = await http.request(method, address, params=dict(sent.query), **body)
    asked.answers += 1
    rows = await doors.pool.fetch("SELECT * FROM disclosed WHERE disclosure > $1", before)
    if answer.status_code >= 500:
        asked.complaints.append(f"{route} as {role}: {answer.status_code}")
    for row in rows:
        asked.recorded.setdefault(route, set()).add((", ".join(sorted(row["what"])), row["purpose"], row["door"]))
        if (row["route"], row["person"], row["role"]) != (route, role, people.PEOPLE[role]["role"]):
            asked.complaints.append(f"{route} as {role}: recorded as {row['route']} by {row['person']}")
    covered = {what for row in rows if doors.household_key in row["whose"] for what in row["what"]}
    for kind in sorted(found_in(answer.text, doors.days)):
        asked.found += 1
        if not COVERED_BY[kind] & covered:
            asked.complaints.append(f"{route} as {role}: shows {kind}, and nothing says so")


def found_in(text: str, days: re.Pattern[str]) -> set[str]:
    """Name what of the planted stands in an answer."""
    planted = {
        "name": (NAME, CHILD),
        "contact": (PHONE, ADDRESS),
        "words": (SAID, AMENDED),
        "note": (NOTED,),
    }
    found = {kind for kind, words in planted.items() if any(word in text for word in words)}
    return found | ({"days"} if days.search(text) else set())


def documented(service: str) -> dict[str, set[tuple[str, str, str]]]:
    """Read what the document says of a service: by route, each what, why and door."""
    routes: dict[str, set[tuple[str, str, str]]] = {}
    part = DOCUMENT.read_text(encoding="utf-8").partition(f"## {service}\n")[2].partition("\n## ")[0]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            routes.setdefault(cells[0].strip("`"), set()).add((cells[1], cells[2], cells[3]))
    return routes


def as_document(service: str, recorded: Mapping[str, set[tuple[str, str, str]]]) -> str:
    """Write what was recorded as the document has it."""
    lines = [f"## {service}", "", "| route | what | why | door |", "|---|---|---|---|"]
    lines += [f"| `{route}` | {' | '.join(one)} |" for route in sorted(recorded) for one in sorted(recorded[route])]
    return "\n".join(lines)
