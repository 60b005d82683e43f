"""`leap up`: parts, schemas, topics, services, the simulated state; then addresses and what to try."""

import asyncio
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import asyncpg

from deploy.commands import districts, people, state
from deploy.commands.figures import measure_backlog
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.local import HTTP_PORTS, create_topics, free_port, provision, start_broker, start_database, start_service
from deploy.local.parts import Part, PartFailed, part_from
from deploy.observability.running import start_alertmanager, start_prometheus

POLL_SECONDS = 0.5
NO_PROGRESS_SECONDS = 180.0

_DOORS = (
    ("Scheduling desk", "scheduling", "ana"),
    ("Visit log", "visitlog", "marisol"),
    ("Reports", "reporting", "state"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What the simulated state replays: the share of the real number of students, the seed, the last day."""

    scale: float
    seed: int
    until: date


def up(screen: Screen, *, demonstration: Demonstration | None, observed: bool = False) -> int:
    """This will start what doesn't run and return when everything is ready and everything sent has been worked off."""
    with state.one_at_a_time():
        found = state.load()
        if found.is_complete():
            screen.say("already running")
        else:
            _start(screen, found, simulated=demonstration is not None)
        if observed:
            _observe(screen, found)
        if demonstration is not None and found.demo is None:
            _replay(screen, found, demonstration)
            _work_off(screen, found)
    _show(screen, found)
    return 0


def _start(screen: Screen, found: State, *, simulated: bool) -> None:
    began = time.monotonic()
    for name, part in found.parts().items():
        if name in found.services or name in found.observers:
            part.stop()  # the survivors of a broken run know addresses that change now
    found.services, found.observers = {}, {}
    with screen.wait("PostgreSQL 18 and Kafka 4"), ThreadPoolExecutor(2) as both:
        parts = found.parts()
        database = both.submit(_running_or, parts.get("database"), lambda: start_database(state.folder() / "database"))
        broker = both.submit(
            _running_or, parts.get("broker"), lambda: start_broker(state.folder() / "broker", quick_start=False)
        )
        try:
            futures.wait((database, broker))
        finally:
            # Ctrl-C or a failure of the other one: what has been started is written down, or nobody could stop it.
            futures.wait((database, broker))
            found.database = found.database if database.exception() else database.result().describe()
            found.broker = found.broker if broker.exception() else broker.result().describe()
            found.save()
        database_part, broker_part = database.result(), broker.result()

    with screen.wait("roles, schemas and topics"):
        urls = asyncio.run(_lay_out(database_part.address, broker_part.address))

    with screen.wait(f"services: {', '.join(HTTP_PORTS)}"):
        processes = []
        for name, preferred in HTTP_PORTS.items():
            own = {"LEAP_PEOPLE_FILE": str(people.people_file())}
            if name == "ingest":
                own["LEAP_DISTRICTS_FILE"] = str(districts.districts_file())
            if simulated:
                own["LEAP_CLOCK_FILE"] = str(state.folder() / "clock")  # its seconds are the simulated state's to say
            process = start_service(
                name,
                bootstrap=broker_part.address,
                database_url=urls[name],
                port=free_port(preferred),
                folder=state.folder() / "logs",
                env=own,
            )
            processes.append(process)
            found.services[name] = process.describe()
            found.save()
        for process in processes:
            process.wait_ready()
    screen.step(f"ready after {time.monotonic() - began:.0f} s")


def _observe(screen: Screen, found: State) -> None:
    if found.observers and all(part_from(each).is_running() for each in found.observers.values()):
        return
    folder = state.folder() / "observers"
    with screen.wait("Prometheus and Alertmanager"):
        alertmanager = start_alertmanager(folder)
        found.observers["alertmanager"] = alertmanager.describe()
        found.save()
        services = {name: found.address_of(name) for name in found.services}
        prometheus = start_prometheus(folder, services=services, alertmanager_address=alertmanager.address)
        found.observers["prometheus"] = prometheus.describe()
        found.save()


def _running_or(part: Part | None, start: Callable[[], Part]) -> Part:
    return part if part is not None and part.is_running() else start()


async def _lay_out(admin_url: str, bootstrap: str) -> dict[str, str]:
    await create_topics(bootstrap, districts.codes())
    return await provision(admin_url, HTTP_PORTS)


def _replay(screen: Screen, found: State, demonstration: Demonstration) -> None:
    from deploy.demo.replay import Progress, replay

    with screen.bar("the school year is replayed", total=100, unit="%") as bar:

        def moved(progress: Progress) -> None:
            bar.advance_to(
                100 * progress.days_done // progress.days_total, f"%  {progress.day:%b %d}  {progress.marks:,} marks"
            )

        sent = asyncio.run(
            replay(
                bootstrap=found.bootstrap(),
                scale=demonstration.scale,
                seed=demonstration.seed,
                until=demonstration.until,
                districts_file=districts.districts_file(),
                progress=moved,
                report=state.folder() / "sent.json",
            )
        )
    found.demo = {"scale": demonstration.scale, "seed": demonstration.seed, "until": demonstration.until.isoformat()}
    found.save()
    screen.step(f"{len(sent.by_district)} districts sent {sent.total:,} records, until {sent.until}")


def _work_off(screen: Screen, found: State) -> None:
    first = asyncio.run(measure_backlog(found)).records
    least, moved_at, zeros = first, time.monotonic(), 0
    with screen.bar("records worked off", total=first, unit="records") as bar:
        # Twice nothing: between two looks an event may have travelled from one service's outbox to the next.
        while zeros < 2:
            waiting = asyncio.run(measure_backlog(found)).records
            zeros = zeros + 1 if waiting == 0 else 0
            bar.advance_to(max(0, first - waiting))
            if waiting != least:
                least, moved_at = waiting, time.monotonic()
            if zeros == 0 and time.monotonic() - moved_at > NO_PROGRESS_SECONDS:
                raise PartFailed(
                    f"{waiting:,} records wait and nothing moved for {NO_PROGRESS_SECONDS:.0f} s; see `leap logs`"
                )
            time.sleep(POLL_SECONDS)
    screen.step("lag 0")


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
    screen.say(f"  Kafka               {found.bootstrap()}")
    screen.say()
    screen.say("Try:  leap status                does everything add up?")
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
