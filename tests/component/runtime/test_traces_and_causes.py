"""What travels with an event: when its first cause landed, and, where asked for, the trace it belongs to."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import asyncpg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime.seen import tracing
from tests.component.runtime.counting import COUNTED, Counted, subscription
from tests.delivering import RecordingPublisher, deliver, record, relay, transactions

UPSTREAM = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


class Caused(RecordingPublisher):
    """Remembers with which cause's time it was asked to publish."""

    def __init__(self) -> None:
        super().__init__()
        self.caused_at_ms: list[int | None] = []

    async def publish_batches(self, *given: Any, caused_at_ms: int | None = None) -> None:
        self.caused_at_ms.append(caused_at_ms)
        await super().publish_batches(*given, caused_at_ms=caused_at_ms)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Tracing, turned on for one test; the spans that ended."""
    exporter = InMemorySpanExporter()
    tracing.configure(None, "counting", exporter)
    yield exporter
    tracing.stop()


def counted(offset: int, *, timestamp_ms: int = 1_788_220_800_000, traceparent: str | None = None) -> Any:
    headers = [(tracing.HEADER, traceparent.encode())] if traceparent else []
    return record("numbers", 0, offset, '{"name": "a", "by": 1}', headers=headers, timestamp_ms=timestamp_ms)


async def relayed(pool: asyncpg.Pool) -> Caused:
    publisher: Any = Caused()
    await relay(pool, publisher)
    return publisher  # type: ignore[no-any-return]


async def test_what_follows_from_a_batch_carries_the_time_of_its_oldest_record(pool: asyncpg.Pool) -> None:
    await deliver(pool, subscription("numbers"), [counted(0, timestamp_ms=1_700_000_000_123), counted(1)])
    assert set((await relayed(pool)).caused_at_ms) == {1_700_000_000_123}


async def test_what_a_person_does_begins_now_also_on_a_connection_that_served_a_batch(pool: asyncpg.Pool) -> None:
    await deliver(pool, subscription("numbers"), [counted(0, timestamp_ms=1_700_000_000_123)])
    await relayed(pool)
    publisher: Any = RecordingPublisher()
    async with pool.acquire() as connection:
        before = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    for number in range(3):
        async with transactions(pool, publisher)() as transaction:
            transaction.emit(topic=COUNTED, key="a", event=Counted("a", f"by hand {number}"), partition=0)
    (caused_at_ms,) = (await relayed(pool)).caused_at_ms
    assert caused_at_ms is not None
    assert caused_at_ms >= before


async def test_untraced_events_carry_no_header(pool: asyncpg.Pool) -> None:
    await deliver(pool, subscription("numbers"), [counted(0, traceparent=UPSTREAM)])
    published = (await relayed(pool)).published
    assert published
    assert all(name != tracing.HEADER for _, _, (_, _, headers) in published for name, _ in headers)


async def test_a_trace_goes_on_through_a_batch_its_outbox_and_the_next_header(
    pool: asyncpg.Pool, spans: InMemorySpanExporter
) -> None:
    batch = [counted(0, traceparent=UPSTREAM), counted(1, traceparent=OTHER), counted(2)]
    await deliver(pool, subscription("numbers"), batch)

    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == UPSTREAM.split("-")[1]
    assert f"{span.parent.span_id:016x}" == UPSTREAM.split("-")[2]
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [OTHER.split("-")[1]]
    # Groups and numbers; no key, no value.
    assert set(span.attributes or {}) == {
        "messaging.system", "messaging.consumer.group.name", "messaging.batch.message_count",
    }  # fmt: skip

    published = (await relayed(pool)).published
    carried = {dict(headers)[tracing.HEADER] for _, _, (_, _, headers) in published}
    assert carried == {f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01".encode()}


@pytest.mark.parametrize(
    "header", ["", "00", "00-x-y-01", "ff-" + UPSTREAM[3:], "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
async def test_a_header_that_is_no_trace_begins_a_new_one(
    header: str, pool: asyncpg.Pool, spans: InMemorySpanExporter
) -> None:
    await deliver(pool, subscription("numbers"), [counted(0, traceparent=header or None)])
    (span,) = spans.get_finished_spans()
    assert span.parent is None


async def test_spans_arrive_at_an_otlp_address() -> None:
    arrived: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
            arrived.extend(
                span.name for each in request.resource_spans for scope in each.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    tracing.configure(f"http://127.0.0.1:{collector.server_port}/v1/traces", "counting")
    with tracing.consuming("leap-counting", []):
        pass
    await asyncio.to_thread(tracing.stop)
    collector.shutdown()
    collector.server_close()
    assert arrived == ["apply leap-counting"]
