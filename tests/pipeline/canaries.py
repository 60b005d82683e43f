"""Words that nobody else uses, planted where people are named; and where in the running system each turns up."""

import asyncio
import base64
import re
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from services.runtime.broker_access import client_options
from tests.pipeline.stack import Stack

PHONE = "+1 (203) 555-0187"
NAMES = ("Quenzabel", "Vexmoor", "Tiblorin", "Ostrakane", "Wistelmund")
ADDRESS = "Zwyndrake"
NUMBERS = ("CN48151623", "CN42108642", "CH90423171", "CH90423172")
CONTACT = (*NAMES, ADDRESS, PHONE, *NUMBERS)
"""What a district says of a household, and its own numbers for it: pseudonyms stand for them behind ingest."""

SAID = tuple(f"Murmelo{what}" for what in (
    "strengths", "hopes", "well", "way", "left", "step", "promise", "private", "extra", "amended", "place",
))  # fmt: skip
"""What the desk and the visitors wrote down of what was said."""


@dataclass(frozen=True, slots=True)
class Found:
    """A planted word, and where it was."""

    word: str
    where: str


def search(words: Iterable[str], text: bytes, where: str) -> list[Found]:
    """Find the words however they are written: in other case, as base64, in hex, phones with any dashes."""
    low, digits = text.lower(), re.sub(rb"[^0-9]", b"", text)
    return [Found(word, where) for word in words if _is_in(word, text, low, digits)]


def _is_in(word: str, text: bytes, low: bytes, digits: bytes) -> bool:
    plain = word.lower().encode()
    if plain in low or plain.hex().encode() in low:
        return True
    if word == PHONE and re.sub(r"[^0-9]", "", word)[-10:].encode() in digits:
        return True
    return any(each in text for each in _base64_of(word.encode()))


def _base64_of(word: bytes) -> list[bytes]:
    """The word's base64 at each of the three places where it can begin, without the ends that depend on neighbours."""
    encoded = [base64.b64encode(bytes(shift) + word)[(0, 2, 3)[shift] :] for shift in range(3)]
    return [each.rstrip(b"=")[:-1] for each in encoded]


async def in_logs(stack: Stack, words: Iterable[str]) -> list[Found]:
    """Search what every service wrote to its log, and what the broker and the database wrote to theirs."""
    logs = [*(process.log for process in stack.processes.values())]
    logs += [log for part in (stack.broker, stack.database) if (log := getattr(part, "log", None)) is not None]
    assert all(log.stat().st_size for log in logs), "a log is empty: nothing was searched"
    return [found for log in logs for found in search(words, log.read_bytes(), f"the log {log.name}")]


async def in_metrics(stack: Stack, words: Iterable[str]) -> list[Found]:
    """Search what every service tells of itself."""
    found: list[Found] = []
    for name, process in stack.processes.items():
        text = await asyncio.to_thread(_get, f"{process.operations or process.address}/metrics")
        assert b"http" in text, f"{name} tells nothing"
        found += search(words, text, f"the metrics of {name}")
    return found


async def in_topics(stack: Stack, words: Iterable[str], *, but: Iterable[str] = ()) -> list[Found]:
    """Search the keys, headers and values of every record of every topic but those."""
    client = AIOKafkaConsumer(**client_options(stack.kafka))
    await client.start()
    topics = sorted(topic for topic in await client.topics() if not topic.startswith("__"))
    await client.stop()
    return await in_these_topics(stack, words, set(topics) - set(but))


async def in_these_topics(stack: Stack, words: Iterable[str], topics: Iterable[str]) -> list[Found]:
    """Search the keys, headers and values of every record of these topics."""
    found: list[Found] = []
    for record in await stack.records(*topics):
        headers = b"\0".join(part for name, value in record.headers for part in (name.encode(), value or b""))
        for part, text in (("key", record.key), ("header", headers), ("value", record.value)):
            found += search(words, text or b"", f"a {part} of {record.topic}")
    return found


async def in_details(stack: Stack, words: Iterable[str]) -> list[Found]:
    """Search why records were set aside and why rows went back, which people read who repair them."""
    found: list[Found] = []
    for service in stack.processes:
        tables = {"dead_letter": "reason || ' ' || detail"}
        if service == "ingest":
            tables["rejected_row"] = "reason || ' ' || detail"
        async with stack.sql(service) as connection:
            for table, columns in tables.items():
                rows = await connection.fetch(f"SELECT {columns} AS said FROM {table}")
                found += [each for row in rows for each in search(words, row["said"].encode(), f"{service}.{table}")]
    return found


async def in_database_of(stack: Stack, service: str, words: Iterable[str]) -> list[Found]:
    """Search every row of every table of a service, its bytes as they are written out."""
    found: list[Found] = []
    async with stack.sql(service) as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        assert tables, f"{service} has no tables"
        for (table,) in tables:
            text = await connection.fetchval(f'SELECT string_agg(each::text, chr(10)) FROM "{table}" AS each')
            found += search(words, (text or "").encode(), f"{service}.{table}")
    return found


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: bytes = answer.read()
        return text
