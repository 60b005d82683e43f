"""`leap forget DISTRICT household|student NUMBER`: their data goes, and no older file brings it back."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from contracts.services import SERVICES
from deploy.commands import districts, push, state
from deploy.commands.kept_of import NUMBER, Line, Whom, kept_of
from deploy.commands.screen import Screen
from services.ingest.districts_file import load_districts
from services.runtime.broker_access import Broker

FORGOTTEN_SECONDS = 120.0
POLL_SECONDS = 0.5


class NotForgotten(Exception):
    """It could not be done, or not yet; the message says what stands and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a system runs."""

    broker: Broker
    """With the rights of who lays it out: families' contacts are read, logs are cut."""
    admin_url: str
    ingest: str
    districts_file: Path


def whom_of(places: Places, *, district: str, kind: str, numbers: Sequence[str]) -> Whom:
    """Name somebody by the district's own numbers: of a child both the district's and the state's, where known."""
    known = load_districts(places.districts_file).pseudonyms
    if district not in known:
        raise districts.DistrictUnknown(f"there is no district {district}; there are {', '.join(sorted(known))}")
    pseudonyms = known[district]
    keys = [pseudonyms.household_key(numbers[0])] if kind == "household" else pseudonyms.student_keys(numbers)
    return Whom(kind, district, list(numbers), [UUID(each) for each in keys])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who is to be forgotten, by the district's numbers; up to which version; what becomes of figures."""

    district: str
    kind: str
    number: str
    state_number: str | None = None
    version: int | None = None
    figures: str | None = None


def forget(screen: Screen, wish: Wish, *, dry_run: bool) -> int:
    """List what goes; without `dry_run` let it go as the district's own word, and wait until it has."""
    found = state.load_whole()
    token = districts.token_of(wish.district)
    places = Places(
        broker=found.broker_door().administrator,
        admin_url=found.admin_url(),
        ingest=found.address_of("ingest"),
        districts_file=districts.districts_file(),
    )
    given = sys.stdin.readline().strip() if wish.number == "-" else wish.number
    if not given:
        raise NotForgotten("name the district's number; - reads it from standard input, where no history keeps it")
    numbers = [given] if wish.state_number is None else [given, f"state:{wish.state_number}"]
    whom = whom_of(places, district=wish.district, kind=wish.kind, numbers=numbers)
    before = asyncio.run(kept_of(whom, broker=places.broker, admin_url=places.admin_url))
    _show(screen, before)
    if dry_run:
        screen.give({"dry_run": True, "kept": [each._asdict() for each in before]})
        screen.say("nothing was changed")
        return 0

    chosen = asyncio.run(newest_version(whom, places.admin_url)) if wish.version is None else wish.version
    sent = record_of(whom, version=chosen, figures=wish.figures)
    push.upload(screen, [push.ndjson("roster", [sent])], address=places.ingest, district=wish.district, token=token)
    with screen.wait("every service lets it go"):
        asyncio.run(until_forgotten(whom, places))
    after = asyncio.run(kept_of(whom, broker=places.broker, admin_url=places.admin_url))
    left = [each for each in after if each.rows and each.becomes != NUMBER]
    screen.give(
        {"version": chosen, "before": [each._asdict() for each in before], "after": [each._asdict() for each in after]}
    )
    for each in left:
        screen.say(f"STILL THERE  {each.where}: {each.rows} {each.kind}")
    if not left:
        screen.say(f"\nforgotten up to version {chosen}; what stands on no key any more is cleaned within two days")
    return 1 if left else 0


def record_of(whom: Whom, *, version: int, figures: str | None) -> dict[str, object]:
    """Write the landing record by which a district lets somebody be forgotten."""
    said: dict[str, object] = {"type": f"{whom.kind}_forgotten", "version": version}
    if figures is not None:
        said["figures"] = figures
    if whom.kind == "household":
        return said | {"household": whom.numbers[0]}
    for number in whom.numbers:
        said["state_student" if number.startswith("state:") else "student"] = number.removeprefix("state:")
    return said


async def newest_version(whom: Whom, admin_url: str) -> int:
    """Give the newest version known of somebody: up to that one, nothing comes back."""
    service, statement = {
        "household": ("ingest", "SELECT max(source_version) FROM contact_version WHERE household_key = ANY ($1)"),
        "student": ("flagging", "SELECT max(source_version) FROM enrollment WHERE student_key = ANY ($1)"),
    }[whom.kind]
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": service})
    try:
        return int(await connection.fetchval(statement, list(whom.keys)) or 0)
    finally:
        await connection.close()


async def until_forgotten(whom: Whom, places: Places) -> None:
    """Return once every service remembers it, the copies are cut and former tables dropped. Raises NotForgotten."""
    until = time.monotonic() + FORGOTTEN_SECONDS
    while waits := await _waiting(whom, places.admin_url):
        if time.monotonic() > until:
            raise NotForgotten(f"not yet after {FORGOTTEN_SECONDS:.0f} s: {', '.join(waits)}; see `leap status`")
        await asyncio.sleep(POLL_SECONDS)
    await drop_former_tables(places.admin_url)


async def drop_former_tables(admin_url: str) -> None:
    """Drop the tables that a rebuild displaced: they hear of nobody who is forgotten. The way back goes with them."""
    connection = await asyncpg.connect(admin_url)
    try:
        for service in SERVICES:
            await connection.execute(f"DROP SCHEMA IF EXISTS {service}_old CASCADE")
    finally:
        await connection.close()


async def _waiting(whom: Whom, admin_url: str) -> list[str]:
    waits = []
    # Flagging keeps nothing of households.
    readers = [each for each in SERVICES if whom.kind == "student" or each != "flagging"]
    for service in readers:
        connection = await asyncpg.connect(admin_url, server_settings={"search_path": service})
        try:
            known = await connection.fetchval(
                "SELECT count(*) FROM forgotten WHERE kind = $1 AND subject = ANY ($2::uuid[])",
                whom.kind,
                list(whom.keys),
            )
            if known < len(whom.keys):
                waits.append(service)
            if service == "ingest" and await connection.fetchval(
                """SELECT EXISTS (SELECT FROM cut_wanted WHERE district = $1)
                       OR EXISTS (SELECT FROM unnaming_wanted WHERE student_key = ANY ($2::uuid[]))
                       OR EXISTS (SELECT FROM outbox)""",
                whom.district,
                list(whom.keys),
            ):
                waits.append("copies in topics")
        finally:
            await connection.close()
    return waits


def _show(screen: Screen, lines: Sequence[Line]) -> None:
    for each in lines:
        becomes = each.becomes if each.rows else ""
        screen.say(f"{each.where:20} {each.rows:8,} {each.kind:42} {becomes}")
