"""What a service says about the records it reads."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from aiokafka import ConsumerRecord
from pydantic import TypeAdapter, ValidationError

from services.runtime.database import Connection
from services.runtime.delivery.pace import Pace
from services.runtime.delivery.transaction import Transaction

T = TypeVar("T")


class Undecodable(Exception):
    """The record can't be read: `reason` is a short code, `detail` helps to find out why and holds no payload."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def read_event(model: TypeAdapter[Any], value: bytes | None) -> Any:
    """Read one event. Raises Undecodable with the fields at fault, never their values."""
    if b"\\u0000" in (value or b""):
        raise Undecodable("nul_character", "text can't hold a NUL character")
    try:
        return model.validate_json(value or b"")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in faults)
        raise Undecodable("not_an_event", detail[:300]) from None


def read_tombstone(of_key: Callable[[bytes | None], T], key: bytes | None) -> T:
    """Read what a record without a value says by its key alone. Raises Undecodable."""
    try:
        return of_key(key)
    except ValueError:
        raise Undecodable("unreadable_tombstone", "a record without a value says nothing without its key") from None


class Delivery(NamedTuple):
    """One record and what it was read as."""

    record: ConsumerRecord
    event: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Which records a service reads, how it reads one, and what it does with a batch of them in one transaction.

    `handle` may be called again with the same records after it raised, and with any part of them: it must leave
    nothing behind but what `Transaction.connection` did. Records of one partition come in their order.
    Of a topic in `compacted`, records that a newer one on their key replaced may be gone. A topic of the pattern that
    is not `expected` yet waits until it is, and is asked about again and again. `passed` hears, in the transaction that
    moves the position, of offsets behind the last record that hold none: from the first to, not with, the second.
    `was_cut` says of a log's missing beginning (topic, partition, from, to) that it is gone by our own doing, once all
    of it had its effect: a position that was put back to before it goes on behind it, and nothing is lost.
    """

    group: str
    decode: Callable[[ConsumerRecord], Any]
    handle: Callable[[Transaction, list[Delivery]], Awaitable[None]]
    topics: tuple[str, ...] = ()
    pattern: str | None = None
    max_records: int = 5000
    compacted: frozenset[str] = frozenset()
    expected: Callable[[str], bool] | None = None
    pace: Pace | None = None
    passed: Callable[[Connection, Mapping[tuple[str, int], tuple[int, int]]], Awaitable[None]] | None = None
    was_cut: Callable[[Connection, str, int, int, int], Awaitable[bool]] | None = None

    def __post_init__(self) -> None:
        if bool(self.topics) == bool(self.pattern):
            raise ValueError(f"subscription {self.group}: name either topics or a pattern")
        if self.pace is not None and not self.pattern:
            # Its lanes are looked up among what the client knows: by pattern, all topics.
            raise ValueError(f"subscription {self.group}: only topics of a pattern are paced")
