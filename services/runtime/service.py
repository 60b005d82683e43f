"""A service: what it declares, and how it starts, shows that it lives, and stops.

Start one with `python -m services.runtime.service NAME`: the `service` of services.NAME.app is run.
"""

import asyncio
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import asyncpg
import fastapi
import structlog
from aiokafka.errors import KafkaError

from services.runtime import clock
from services.runtime.database import POOL_SECONDS, at_once, open_pool
from services.runtime.delivery import faults
from services.runtime.delivery.backoff import within
from services.runtime.delivery.consume import Consumption
from services.runtime.delivery.lease import Lease, LeaseLost
from services.runtime.delivery.own_words import BehindOwnWords, OwnWords, Topics, refuse_behind
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.relay import Relay
from services.runtime.delivery.subscription import Subscription
from services.runtime.measure import Measurements, standard_readings
from services.runtime.migrate import Schema
from services.runtime.revision import SchemaTooNew, SchemaUnfit
from services.runtime.seen import security, telemetry, tracing
from services.runtime.seen.away import away, is_of_kafka_client
from services.runtime.settings import Settings, SettingsRejected
from services.runtime.web import application, connections
from services.runtime.web.access import Access, RoutesUndeclared, asked_for
from services.runtime.web.context import Context
from services.runtime.web.operations import operations
from services.runtime.web.pages import Pages
from services.runtime.web.people import People
from services.runtime.web.sign_in import Admission, session_secret
from services.runtime.web.vouching import Vouching

__all__ = ["Context", "Running", "Service", "Timer", "run"]

STOP_SECONDS = 14.0
RETRY_SECONDS = 1.0
WATCH_SECONDS = 5.0
TIMER_LEASE_SECONDS = 8.0
UNFIT_EXIT_CODE = 3
"""The schema and this release don't go together: started again it would say the same."""

# A batch's objects end by their reference counts. With the interpreter's own thresholds it would search them for cycles
# some fifty times a batch, which took a third of a worker's CPU.
COLLECT_CYCLES = (200_000, 20, 50)
MAX_BODY_BYTES = 256 * 1024

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something done every so often, by one process at a time, and again after it failed."""

    name: str
    every_seconds: float
    run: Callable[[Context], Awaitable[None]]
    in_copies: bool = False
    """Whether tables that are made anew need it too: it mends what the order of records alone would leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a service is made of."""

    name: str
    migrations: Path
    subscriptions: tuple[Subscription, ...] = ()
    timers: tuple[Timer, ...] = ()
    routes: Callable[[Context], fastapi.APIRouter] | None = None
    """Gives what programs may ask."""
    pages: Callable[[Context], Pages] | None = None
    """Gives what people see: the `Pages` with every page's route on its router."""
    settings: type[Settings] = Settings
    max_body_bytes: int | None = MAX_BODY_BYTES
    own_words: OwnWords | None = None
    """What it tells that follows from no other topic: it never starts behind that."""
    access: Access = field(default_factory=dict)
    """Who may use which of its routes, and what it shows them; a route that is not named is not served."""
    keeps_apart: bool = False
    """Its tables have row-level security: people's requests go on as the role that it bounds."""
    measure: Callable[[Context], Awaitable[None]] | None = None
    """Sets the service's own metrics from what it keeps, when they are asked for."""

    def serve(self, app: fastapi.FastAPI, context: Context) -> None:
        """Let the application answer with the service's pages and routes."""
        if self.keeps_apart:
            context = context.for_people(asked_for)
        pages = self.pages(context) if self.pages is not None else None
        routes = self.routes(context) if self.routes is not None else None
        application.serve(app, context, access=self.access, pages=pages, routes=routes)


class Running:
    """One service in this process, from start to stop."""

    def __init__(self, service: Service, settings: Settings, admission: Admission | None = None) -> None:
        self.service = service
        self.settings = settings
        self.admission = admission
        self.stop = asyncio.Event()
        self.exit_code = 0
        self._started = False
        self._consumptions: list[Consumption] = []
        self._pool: asyncpg.Pool | None = None
        self._schema = Schema(service.name, service.migrations, by_job=settings.migrations == "by-job")
        self._publisher = Publisher(settings.kafka, source=service.name)
        self._relay = Relay(settings.database_url, self._publisher)
        self._tasks: list[asyncio.Task[None]] = []
        self._measurements = Measurements({})
        self._context: Context | None = None

    def give_up(self, reason: str) -> None:
        """Stop the process with an exit code that says it failed: a new one may do better."""
        if self.stop.is_set():
            return  # a consumer that is being stopped looks dead to whoever samples it meanwhile
        log.error("giving up", reason=reason)
        self.exit_code = 1
        self.stop.set()

    async def run(self) -> int:
        """Run the service until it is told to stop or gives up, and return the exit code."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.stop.set)
        app = application.application(self.service.name, max_body_bytes=self.service.max_body_bytes)
        machines = operations(
            self.service.name,
            alive=self.alive,
            ready=self.ready,
            measure=self.measure,
            revision=self._schema.revision,
        )
        servers, serving = [], []
        for name, served, port in (
            ("http", app, self.settings.http_port),
            ("operations", machines, self.settings.port_of_operations),
        ):
            proxies = self.settings.trusted_proxies
            servers.append(application.server(served, self.settings.http_host, port, trusted_proxies=proxies))
            serving.append(asyncio.create_task(servers[-1].serve(), name=name))
            serving[-1].add_done_callback(self._ended)
        starting = asyncio.create_task(self._start(app), name="start")
        starting.add_done_callback(self._ended)

        await self.stop.wait()
        log.info("stopping")
        # The last resort: what can't be stopped in time is cut off; nothing is lost by that.
        loop.call_later(STOP_SECONDS, os._exit, 1)
        starting.cancel()
        if self._context is not None:
            self._context.changes.close()
        await self._stop()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving, starting, return_exceptions=True)
        return self.exit_code

    async def _start(self, app: fastapi.FastAPI) -> None:
        pool = self._pool = await self._until_there(
            partial(open_pool, self.settings.database_url, self._schema.process_name, zone=self.settings.zone)
        )
        applied = await self._schema.fit(pool)
        await self._until_there(self._publisher.start)
        if self.service.own_words is not None:
            await self._until_there(partial(self._refuse_behind, self.service.own_words, pool))
        context = Context(self.settings, pool, self._publisher, service=self.service.name, admission=self.admission)
        self._context = context
        readings = standard_readings(pool)
        if self.service.measure is not None:
            readings[self.service.name] = partial(self.service.measure, context)
        self._measurements = Measurements(readings)
        self.service.serve(app, context)
        if app.state.sessions is not None:
            self._spawn(app.state.sessions.watch(), "sessions")
        self._spawn(self._relay.run(), "relay")
        self._spawn(self._watch(), "watch")
        for subscription in self.service.subscriptions:
            consumption = Consumption(
                subscription, settings=self.settings, pool=pool, publisher=self._publisher, give_up=self.give_up
            )
            await self._until_there(consumption.start)
            self._consumptions.append(consumption)
        for timer in self.service.timers:
            self._spawn(_repeat(timer, context), f"timer {timer.name}")
        self._started = True
        log.info("started", migrations=applied, port=self.settings.http_port)

    async def _refuse_behind(self, own: OwnWords, pool: asyncpg.Pool) -> None:
        async with pool.acquire() as connection:
            topics = Topics(self.settings.kafka)
            await refuse_behind(self.service.name, own, topics, cast(asyncpg.Connection, connection))

    async def _stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._consumptions), return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(3):
                await self._publisher.stop()
                if self._pool is not None:
                    await self._pool.close()
        except (TimeoutError, KafkaError, OSError):
            if self._pool is not None:
                self._pool.terminate()

    def _spawn(self, work: Awaitable[None], name: str) -> None:
        task = asyncio.ensure_future(work)
        task.set_name(name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.stop.is_set():
            return
        error = task.exception()
        if isinstance(error, RoutesUndeclared):
            log.error("a route has no line in the table of who may use it", problem=str(error))
            self.give_up("routes")
        elif isinstance(error, SettingsRejected):
            log.error("the settings do not do", problem=str(error))
            self.give_up("settings")
            self.exit_code = 2
        elif isinstance(error, BehindOwnWords):
            log.error("the tables are behind what was told", problem=str(error))
            self.give_up("the tables are behind what was told")
        elif isinstance(error, SchemaUnfit):
            self._unfit(error)
        elif error is not None:
            log.error("a task ended", task=task.get_name(), **telemetry.where(error))
            self.give_up(f"{task.get_name()}: {type(error).__name__}")
        elif task.get_name() != "start":
            self.give_up(f"{task.get_name()} ended")

    def _unfit(self, reason: SchemaUnfit) -> None:
        log.error("the schema and this release do not go together", problem=str(reason))
        self.give_up("schema")
        self.exit_code = UNFIT_EXIT_CODE

    async def _until_there(self, connect: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await connect()
            except (OSError, KafkaError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("waiting for the database or the broker", **telemetry.where(error))
                await asyncio.sleep(RETRY_SECONDS)

    def alive(self) -> str:
        """Say why a new process would do better than this one, or nothing. Trouble elsewhere is no reason."""
        if self._started and (problem := self._relay.stalled()):
            return problem
        return next((problem for each in self._consumptions if (problem := each.lag.stalled())), "")

    async def _watch(self) -> None:
        """End the process when its relay hangs, or when a newer release takes away what it needs."""
        while not self.stop.is_set():
            await within(WATCH_SECONDS, self.stop)
            try:
                await self._schema.look(self._pool)
            except SchemaTooNew as reason:
                self._unfit(reason)
            if problem := self._relay.stalled():
                self.give_up(problem)

    async def ready(self) -> str:
        """Say why no request should be sent here, or nothing."""
        if not self._started or self._pool is None:
            return self._schema.doing or "starting"
        if self.stop.is_set():
            return "stopping"
        if problem := self._relay.stalled():
            return problem
        try:
            await self._pool.fetchval("SELECT 1", timeout=2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return "the database does not answer"
        return ""

    async def measure(self) -> None:
        """Bring the metrics up to now."""
        pool = self._pool if self._started else None
        if pool is not None:
            telemetry.TURN_AGE.labels("outbox").set(self._relay.turn_seconds())
        await self._measurements.update(consumptions=self._consumptions, pool=pool)


async def _repeat(timer: Timer, context: Context) -> None:
    # One process at a time: two replicas must not do the same round twice at once. Nobody gives it back: who has it
    # has it again the next time, and the others' tries cost nothing until it has run out.
    lease = Lease(f"timer {timer.name}", seconds=TIMER_LEASE_SECONDS)
    while True:
        started = time.monotonic()
        try:
            async with context.pool.acquire(timeout=POOL_SECONDS) as connection, at_once(connection):
                taken = await lease.take(connection)
            if taken:
                await timer.run(context.under(lease))
        except LeaseLost:
            log.warning("the timer was slow, and another process goes on with it", timer=timer.name)
        except Exception as error:  # noqa: BLE001 - the edge: whatever failed is counted, and tried again next time
            telemetry.TIMER_FAILURES.labels(timer.name).inc()
            say = log.warning if away(error) else log.error
            say("timer failed", timer=timer.name, **telemetry.where(error))
        await asyncio.sleep(max(0.0, timer.every_seconds - (time.monotonic() - started)))


def run(service: Service) -> int:
    """Run the service as this process and return the exit code."""
    try:
        settings = service.settings.from_environment()
        faults.arm(settings.crash_at)
        admission = _admission(settings)
    except (SettingsRejected, ValueError) as error:
        sys.stderr.write(f"{service.name} can't start: {error}\n")
        return 2
    telemetry.configure_logging(settings.log_level, service.name)
    connections.allow_all_files()
    gc.set_threshold(*COLLECT_CYCLES)
    clock.use(settings.clock_file)
    tracing.configure(settings.otlp_endpoint, service.name)

    async def main() -> int:
        asyncio.get_running_loop().set_exception_handler(_log_unhandled)
        return await Running(service, settings, admission).run()

    try:
        return asyncio.run(main())
    finally:
        tracing.stop()


def _admission(settings: Settings) -> Admission | None:
    """Read who may come in, as the settings say. Raises SettingsRejected; None where nobody may."""
    if settings.people_file is None:
        return None
    secret = session_secret(settings.session_secret_file)
    security.use(secret)
    vouching = Vouching.load(settings.providers_file, secret) if settings.providers_file is not None else None
    return Admission(people=People.load(settings.people_file), secret=secret, vouching=vouching)


def _log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    fields = telemetry.where(error) if isinstance(error, BaseException) else {}
    if isinstance(error, BaseException) and is_of_kafka_client(error):
        # What the client asked for and forgot while no broker answers: one more of the lines about that.
        log.warning("unhandled in a task", **fields | {"away": "broker"})
    else:
        log.error("unhandled in a task", **fields)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m services.runtime.service NAME")
    sys.exit(run(importlib.import_module(f"services.{sys.argv[1]}.app").service))
