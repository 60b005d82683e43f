"""Traces, where somebody asked for them: which batch of which process made what others went on with.

Off unless LEAP_OTLP_ENDPOINT is set: nothing is imported then, and a batch costs one comparison. On, a batch is one
span, however many records it has: its parent is the trace of its first record that has one, the others are links. What
the batch publishes carries the span on, by the outbox's column and Kafka's header `traceparent` (W3C). A span tells of
groups, routes and numbers of records: never of a key, an address or a value.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiokafka import ConsumerRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

HEADER = "traceparent"
MOST_LINKS = 32
SEND_SECONDS = 2.0


class _Tracing:
    """The process's tracer, or none."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.provider: TracerProvider | None = None


_tracing = _Tracing()


def configure(endpoint: str | None, service: str, exporter: "SpanExporter | None" = None) -> None:
    """Send spans to the OTLP address (HTTP, protobuf) from now on; None leaves tracing off."""
    if endpoint is None and exporter is None:
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": f"leap-{service}"}), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        # A collector that is away must not keep a process from stopping in time.
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS)))
    _tracing.provider, _tracing.tracer = provider, provider.get_tracer("leap")


def stop() -> None:
    """Send what is left and turn tracing off."""
    provider = _tracing.provider
    _tracing.provider = _tracing.tracer = None
    if provider is not None:
        provider.shutdown()


def traceparent() -> str | None:
    """Give the header value by which others go on with the current span; None where there is none."""
    if _tracing.tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carried: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carried)
    return carried.get(HEADER)


@contextmanager
def consuming(group: str, records: Sequence[ConsumerRecord]) -> Iterator[None]:
    """Trace one batch: a child of the first trace in it, linked with the others."""
    if _tracing.tracer is None:
        yield
        return
    from opentelemetry.trace import Link, SpanKind, get_current_span

    found = list(_callers(records))
    with _tracing.tracer.start_as_current_span(
        f"apply {group}",
        context=found[0] if found else None,
        kind=SpanKind.CONSUMER,
        links=[Link(get_current_span(each).get_span_context()) for each in found[1:]],
        attributes={"messaging.system": "kafka", "messaging.consumer.group.name": group,
                    "messaging.batch.message_count": len(records)},
        record_exception=False,  # its message may quote a payload
        set_status_on_exception=False,
    ):  # fmt: skip
        yield


@contextmanager
def serving(method: str, given: str | None) -> Iterator[None]:
    """Trace one request: a child of the caller's span where the caller named one."""
    if _tracing.tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind

    with _tracing.tracer.start_as_current_span(
        method,
        context=_caller(given) if given else None,
        kind=SpanKind.SERVER,
        record_exception=False,
        set_status_on_exception=False,
    ):
        yield


def name_request(route: str, status: int) -> None:
    """Say of the current request what it was: the declared route, never the address."""
    if _tracing.tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes({"http.route": route, "http.response.status_code": status})


def _caller(header: str) -> "Context | None":
    """The context with the span that the header names; None where it names none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: header}) or None


def _callers(records: Iterable[ConsumerRecord]) -> Iterator["Context"]:
    # Records of one batch upstream carry one header: seen once, it is passed over a thousand times.
    seen: set[bytes] = set()
    for record in records:
        for name, value in record.headers:
            if name == HEADER and value is not None and value not in seen and len(seen) <= MOST_LINKS:
                seen.add(value)
                if (caller := _caller(value.decode("ascii", "replace"))) is not None:
                    yield caller
