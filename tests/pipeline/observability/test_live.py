"""A real Prometheus watches the running stack under load: every panel answers, and a frozen worker is reported.

Some minutes long, so `make observe` runs it and the other tests pass it by.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime

import httpx
import pytest
import pytest_asyncio

from contracts.services import SERVICES
from deploy.demo.calendars import latest_day_worth_replaying
from deploy.demo.replay import replay
from deploy.local.machine import checkout
from deploy.local.parts import Process
from deploy.observability import charts
from deploy.observability.boards import BOARDS
from deploy.observability.metrics_table import listed
from deploy.observability.panel import Query
from deploy.observability.running import start_alertmanager, start_prometheus
from tests.pipeline.observability.watching import Webhook, steady_load
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.unit.observability.test_metrics_list import unlisted
from tests.zones import HERE

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        "OBSERVE" not in os.environ,
        reason="`make observe` runs it: that panels have answers and a frozen worker is reported is not proved here",
    ),
]

DISTRICTS = ("hartford", "windham", "torrington")
SCRAPE_SECONDS = 2
WAY = 'leap:record_age:p50_seconds{group="leap-scheduling",topic="flags"}'
PAGE = checkout() / ".leap" / "boards.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The running stack and those who watch it."""

    stack: Stack
    prometheus: Process
    webhook: Webhook
    day: date

    def answers(self, minutes: float = 5) -> charts.Answers:
        return charts.Answers(self.prometheus.address, minutes=minutes, district="hartford")

    async def value(self, expression: str) -> float | None:
        """Ask for one number; None where there is no answer."""
        found = await asyncio.to_thread(self.answers().at_the_end, Query(expr=expression, legend=""))
        return found[0].points[-1][1] if found else None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def observed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Observed]:
    """The stack with Prometheus and Alertmanager, a replayed year, and a load that goes on."""
    folder = tmp_path_factory.mktemp("observed")
    today = datetime.now(HERE).date()
    until = latest_day_worth_replaying(today)
    stack = await start_stack(folder, DISTRICTS)
    webhook = Webhook()
    watchers: list[Process] = []
    try:
        watchers.append(await asyncio.to_thread(start_alertmanager, folder, webhook=webhook.address, at_once=True))
        addresses = {name: process.operations or process.address for name, process in stack.processes.items()}
        prometheus = await asyncio.to_thread(
            start_prometheus,
            folder,
            services=addresses,
            alertmanager_address=watchers[0].address,
            every_seconds=SCRAPE_SECONDS,
        )
        watchers.append(prometheus)
        await replay(
            broker_of=stack.door.district,
            scale=0.01,
            seed=1,
            until=until,
            districts_file=stack.districts_file,
        )
        await stack.settled()
        async with steady_load(stack, district="hartford", until=until):
            yield Observed(stack=stack, prometheus=prometheus, webhook=webhook, day=until)
    finally:
        for watcher in reversed(watchers):
            watcher.stop()
        webhook.stop()
        await stack.stop()


async def test_every_service_tells_metrics_that_promtool_finds_no_fault_with(observed: Observed) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        for service in SERVICES:
            scraped = (await client.get(f"{observed.stack.processes[service].operations}/metrics")).text
            finished = await asyncio.to_thread(
                subprocess.run, [promtool, "check", "metrics"], input=scraped, text=True, capture_output=True
            )
            said = (finished.stdout + finished.stderr).splitlines()
            assert [line for line in said if line.startswith("leap_")] == []
            assert unlisted(scraped, listed()) == set()


async def test_every_query_of_every_panel_has_an_answer(observed: Observed) -> None:
    empty: list[str] = []

    async def all_answer() -> bool:
        empty.clear()
        answers = observed.answers()
        for board in BOARDS:
            for panel in board.panels:
                ask = answers.over_time if panel.kind == "lines" else answers.at_the_end
                for query in panel.queries:
                    if not await asyncio.to_thread(ask, query):
                        empty.append(f"{board.title}: {panel.question} ({query.legend}) {query.expr}")
        return not empty

    try:
        await eventually(all_answer, "an answer to every panel", deadline_seconds=120)
    except AssertionError:
        raise AssertionError("empty panels:\n" + "\n".join(empty)) from None


async def test_a_panel_without_an_answer_would_be_noticed(observed: Observed) -> None:
    assert observed.answers().over_time(Query(expr="leap_no_such_metric", legend="")) == []


async def test_under_load_every_record_is_accounted_for_at_every_hop(observed: Observed) -> None:
    gaps: dict[str, float] = {}

    async def told_of_every_hop() -> bool:
        query = Query(expr="sum by (hop) (abs(leap:conservation_gap:records))", legend="{{hop}}")
        found = await asyncio.to_thread(observed.answers().at_the_end, query)
        gaps.update({each.name: each.points[-1][1] for each in found})
        return gaps.keys() == {"landed", "decided", "queued", "reported"}

    # Marks published two minutes ago are held against marks dealt with now.
    await eventually(told_of_every_hop, "the sums of all four hops", deadline_seconds=180)
    assert gaps["landed"] == gaps["decided"] == 0
    assert not observed.webhook.heard("ConservationGap", "firing")


async def test_from_landing_to_the_desk_takes_less_than_the_promise(observed: Observed) -> None:
    async def told() -> bool:
        return await observed.value(WAY) is not None

    await eventually(told, "ages of flags at the desk")
    age = await observed.value(WAY)
    assert age is not None
    # More than the desk's own batch takes: it counts from landing, over ingest, flagging and its outbox.
    assert 0 < age < 60


async def test_the_dead_mans_switch_is_told_all_the_time(observed: Observed) -> None:
    async def told() -> bool:
        return observed.webhook.heard("Watchdog", "firing")

    await eventually(told, "the dead man's switch")


async def test_a_frozen_worker_is_reported_and_reported_well_again(observed: Observed) -> None:
    flagging = observed.stack.processes["flagging"].pid
    assert flagging is not None

    async def reported() -> bool:
        return observed.webhook.heard("LagGrows", "firing", group="leap-flagging")

    async def reported_well() -> bool:
        return observed.webhook.heard("LagGrows", "resolved", group="leap-flagging")

    assert not await reported()
    os.kill(flagging, signal.SIGSTOP)
    try:
        await eventually(reported, "the lag of the frozen worker reaches the webhook", deadline_seconds=120)
    finally:
        os.kill(flagging, signal.SIGCONT)
    await eventually(reported_well, "the lag has cleared", deadline_seconds=120)
    receivers = {path for path, alert in observed.webhook.told if alert["labels"]["alertname"] == "LagGrows"}
    assert receivers == {"tickets"}


async def test_the_boards_are_drawn_without_grafana(observed: Observed) -> None:
    drawn = await asyncio.to_thread(charts.page, observed.answers(minutes=6), about="A proof's own load.")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(drawn, encoding="utf-8")
    assert drawn.count("<svg") >= 40
    assert "nothing yet" not in drawn
    assert "without Grafana" in drawn
