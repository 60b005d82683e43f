"""`leap up`: parts, schemas, topics, services, the simulated state; then addresses and what to try."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg

from contracts.broker_users import AUDITOR
from deploy.commands import districts, kafka, life, people, state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.local import (
    AUDIT_PORT,
    HTTP_PORTS,
    auditor_may_read,
    free_port,
    provision,
    provision_auditor,
    start_auditor,
    start_broker,
    start_database,
    start_service,
)
from deploy.local.broker import door_of
from deploy.local.found import part_from
from deploy.local.parts import Part, PartFailed
from deploy.observability.running import start_alertmanager, start_prometheus
from services.runtime.settings import zone_from

POLL_SECONDS = 0.5
READY_WITHIN_SECONDS = 2 * 3600.0
"""What an update carries over is a state's year at most; a service that dies meanwhile is noticed at once."""

_PASSED_ON = ("LEAP_PROVIDERS_FILE", "LEAP_TRUSTED_PROXIES")
"""Of our own environment, to every service."""

_DOORS = (
    ("Scheduling desk", "scheduling", "ana"),
    ("Visit log", "visitlog", "marisol"),
    ("Reports", "reporting", "state"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What the simulated state replays: share of the students, seed, last day; and whether it goes on."""

    scale: float
    seed: int
    until: date
    goes_on: bool = True


def up(screen: Screen, *, demonstration: Demonstration | None, observed: bool = False) -> int:
    """Start what doesn't run and return when everything is ready and everything sent has been worked off."""
    with state.one_at_a_time():
        found = state.load()
        if found.is_complete():
            screen.say("already running")
            kafka.mend_what_drifted(screen, found)
        else:
            _start(screen, found, simulated=demonstration is not None)
        _audit(screen, found)
        if observed:
            _observe(screen, found)
        if demonstration is not None and found.demo is None:
            _live(screen, found, demonstration)
    _show(screen, found)
    return 0


def _start(screen: Screen, found: State, *, simulated: bool) -> None:
    began = time.monotonic()
    for name, part in found.parts().items():
        if name in found.services or name in found.observers or name == "auditor":
            part.stop()  # the survivors of a broken run know addresses that change now
    found.services, found.observers, found.auditor = {}, {}, None
    with screen.wait("PostgreSQL 18 and Kafka 4"), ThreadPoolExecutor(2) as both:
        parts = found.parts()
        database = both.submit(_running_or, parts.get("database"), lambda: start_database(state.folder() / "database"))
        broker = both.submit(
            _running_or,
            _closed(found, parts.get("broker")),
            lambda: start_broker(state.folder() / "broker", passwords=state.passwords(), quick_start=False),
        )
        try:
            futures.wait((database, broker))
        finally:
            # Ctrl-C or a failure of the other one: what has been started is written down, or nobody could stop it.
            futures.wait((database, broker))
            found.database = found.database if database.exception() else database.result().describe()
            if not broker.exception():
                found.broker = broker.result().describe()
                found.door = door_of(broker.result(), state.passwords()).describe()
            found.save()
        database_part = database.result()

    with screen.wait("roles, schemas, topics, and who may read and write them"):
        urls = asyncio.run(provision(database_part.address, HTTP_PORTS))
        kafka.lay_out_whole(screen, found)

    with screen.wait(f"services: {', '.join(HTTP_PORTS)}"):
        processes = []
        for name, preferred in HTTP_PORTS.items():
            own = {
                "LEAP_PEOPLE_FILE": str(people.people_file()),
                "LEAP_SESSION_SECRET_FILE": str(people.session_secret_file(name)),
                "LEAP_TIME_ZONE": zone_from().key,
                **{given: os.environ[given] for given in _PASSED_ON if given in os.environ},
            }
            if name == "ingest":
                own["LEAP_DISTRICTS_FILE"] = str(districts.districts_file())
            if simulated:
                own["LEAP_CLOCK_FILE"] = str(life.clock_file())  # its seconds are the simulated state's to say
            process = start_service(
                name,
                broker=found.kafka(name),
                database_url=urls[name],
                port=free_port(preferred),
                folder=state.folder() / "logs",
                env=own,
            )
            processes.append(process)
            found.services[name] = process.describe()
            found.save()
        for process in processes:
            process.wait_ready(READY_WITHIN_SECONDS)
    screen.step(f"ready after {time.monotonic() - began:.0f} s")


def _audit(screen: Screen, found: State) -> None:
    """Start the auditor where it does not run, or can't read any more: tables were made anew, or it ended alone."""
    if found.auditor is not None and (part := part_from(found.auditor)).is_running():
        if asyncio.run(auditor_may_read(found.admin_url())):
            return
        part.stop()
    with screen.wait("the auditor"):
        auditor = start_auditor(
            broker=found.kafka(AUDITOR),
            database_url=asyncio.run(provision_auditor(found.admin_url())),
            districts_file=districts.districts_file(),
            port=free_port(AUDIT_PORT),
            folder=state.folder() / "logs",
        )
        found.auditor = auditor.describe()
        found.save()


def _observe(screen: Screen, found: State) -> None:
    if found.observers and all(part_from(each).is_running() for each in found.observers.values()):
        return
    folder = state.folder() / "observers"
    with screen.wait("Prometheus and Alertmanager"):
        alertmanager = start_alertmanager(folder)
        found.observers["alertmanager"] = alertmanager.describe()
        found.save()
        services = {name: found.address_of(name) for name in found.services}
        if found.auditor is not None:
            services["auditor"] = found.auditor["address"]
        prometheus = start_prometheus(folder, services=services, alertmanager_address=alertmanager.address)
        found.observers["prometheus"] = prometheus.describe()
        found.save()


def _running_or(part: Part | None, start: Callable[[], Part]) -> Part:
    return part if part is not None and part.is_running() else start()


def _closed(found: State, broker: Part | None) -> Part | None:
    """Give the broker, but stop one that a release before this one started, which let everybody in: it comes anew."""
    if broker is not None and not found.asks_who_comes():
        broker.stop()
        return None
    return broker


def _live(screen: Screen, found: State, demonstration: Demonstration) -> None:
    """Begin the simulated state; return when its last replayed day has come and all of it is worked off."""
    process = life.start_life(
        scale=demonstration.scale,
        seed=demonstration.seed,
        until=demonstration.until,
        seconds_per_day=life.SECONDS_PER_DAY if demonstration.goes_on else 0,
    )
    found.life = process.describe()
    found.demo = {
        "scale": demonstration.scale,
        "seed": demonstration.seed,
        "until": demonstration.until.isoformat(),
        "goes_on": demonstration.goes_on,
    }
    found.save()
    told: dict[str, Any] = {}
    with screen.bar("the school year is replayed", total=100, unit="%") as bar:
        while told.get("phase", "replaying") == "replaying":
            time.sleep(POLL_SECONDS)
            told = life.chronicle()
            if told.get("day"):
                bar.advance_to(
                    100 * told["days_done"] // told["days_total"],
                    f"%  {date.fromisoformat(told['day']):%b %d}  {told['marks']:,} marks · {told['visits']:,} visits",
                )
            elif not process.is_running():
                break
            if not process.is_running() and told.get("phase", "replaying") == "replaying":
                raise PartFailed(f"the simulated state ended early: see {process.log}")
    screen.step(
        f"replayed until {told.get('day')}: {told.get('contacts', 0):,} contacts with families,"
        f" {told.get('appointments', 0):,} appointments, {told.get('visits', 0):,} visits; lag 0"
    )


def _show(screen: Screen, found: State) -> None:
    addresses = {name: found.address_of(name) for name in HTTP_PORTS}
    student = asyncio.run(_one_flagged_student(found.admin_url()))
    doors = {service: {"name": name, "key": people.key_of(name)} for _, service, name in _DOORS}
    screen.give(
        {
            "services": addresses,
            "sign_in": doors,
            "broker": found.bootstrap(),
            "observers": {name: each["address"] for name, each in found.observers.items()},
            "demo": found.demo,
            "flagged_student": student,
        }
    )
    screen.say()
    screen.say(f"  Upload a roll       {addresses['ingest']}/v1/districts/<district>/attendance")
    for title, service, name in _DOORS:
        screen.say(f"  {title:18}  {addresses[service]}   sign in as {name}, key {people.key_of(name)}")
    for name, each in found.observers.items():
        screen.say(f"  {name.title():18}  {each['address']}")
    screen.say(f"  Kafka               {found.bootstrap()}   {kafka.how_a_district_connects()}")
    screen.say()
    if found.demo and found.demo.get("goes_on") and found.life is not None and part_from(found.life).is_running():
        screen.say(f"  The state lives on: a school day every {life.SECONDS_PER_DAY:.0f} s, see the desk move.")
        screen.say()
    screen.say("Try:  leap story                 two guided minutes, from three absences to a line in the report")
    screen.say("      leap status                does everything add up?")
    if student is not None:
        screen.say(f"      leap why {student[:8]}          why is this student here?")
        screen.say("      leap absent hartford 3     mark three students absent and see who is flagged")
    screen.say("      leap down --purge          leave no trace")


async def _one_flagged_student(admin_url: str) -> str | None:
    connection = await asyncpg.connect(admin_url)
    try:
        found = await connection.fetchval("SELECT student_key FROM flagging.flag WHERE level >= 2 LIMIT 1")
    finally:
        await connection.close()
    return str(found) if found is not None else None
