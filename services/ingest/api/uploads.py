"""Uploads: a district's rows are read as ingest will read them, land unaltered, and are told under a receipt."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Literal
from uuid import UUID, uuid4

from aiokafka.errors import KafkaError
from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from contracts.topics import ATTENDANCE_IN, ROSTER_IN
from services.ingest.formats import csv_rows
from services.ingest.formats.own import MAX_ROW_BYTES
from services.ingest.handlers.batch import refused_of
from services.ingest.handlers.landed import read_value
from services.ingest.handlers.uploads import COLUMNS_HEADER, RECEIPT_HEADER, ROW_HEADER
from services.ingest.rules.allowance import (
    MAX_LINES,
    MAX_REFUSED_ROWS,
    MAX_UPLOADS_AT_ONCE,
    REFUSED_AT_ONCE,
    REFUSED_PER_SECOND,
    Allowance,
    Bucket,
    Debt,
    Used,
)
from services.ingest.rules.door import Door
from services.ingest.rules.pseudonyms import Districts
from services.ingest.store import counts
from services.runtime import clock
from services.runtime.database import Connection
from services.runtime.delivery.publisher import Message
from services.runtime.service import Context
from services.runtime.web.problems import problem_json

MAX_BODY_BYTES = 64 * 1024 * 1024
BURST_UPLOADS = 60
UPLOADS_PER_SECOND = 20.0
MAX_CSV_HEADER_BYTES = 2048
"""It lands with each of its rows."""
_ROWS_PER_PUBLISH = 2000
_SPOOL_MEMORY_BYTES = 1024 * 1024

NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV_TYPE = "text/csv"

Form = Literal["ndjson", "csv"]
Kind = Literal["attendance", "roster"]


class IssuedReceipt(BaseModel):
    """An upload has landed; what becomes of its rows is told under the receipt's id."""

    id: UUID
    rows: int = Field(description="rows landed; blank lines and a CSV header are none")


class StoppedUpload(BaseModel):
    """So many rows of an upload could not be used that nothing behind them was taken: send from there on again."""

    type: str = "about:blank"
    title: str = "Unprocessable Content"
    status: int = 422
    detail: str
    id: UUID
    rows: int = Field(description="rows landed, those that go back included")
    not_taken_from: int = Field(description="the first line of which nothing was taken")


class BodyRefused(Exception):
    """An upload can't land as a whole; nothing of it has."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a body holds: a CSV's header line, its rows, how many can't become facts, and where it was not read on."""

    columns: bytes | None = None
    rows: int = 0
    refused: int = 0
    not_taken_from: int | None = None


class Uploads:
    """Takes uploads in. `districts` gives those that may send now."""

    def __init__(self, context: Context, districts: Callable[[], Districts], allowance: Allowance) -> None:
        self._context = context
        self._districts = districts
        self._limits = UploadLimits(allowance)

    async def receive(self, district: str, kind: Kind, request: Request) -> Response:
        """Take an upload in, or refuse it whole. Raises HTTPException."""
        authorize(self._districts(), district, request.headers.get("authorization"))
        with self._limits.place_for(district):
            try:
                form = _form_of(request, kind)
                said = _declared_bytes(request)
                async with self._context.pool.acquire() as connection:
                    await self._limits.refuse_over_allowance(connection, district, Used(bytes=said))
                with tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY_BYTES) as body:
                    return await self._take(district, kind, form, body, received=await _spool(request, body))
            except BodyRefused as refusal:
                raise HTTPException(refusal.status, refusal.message) from None
            except KafkaError:
                raise HTTPException(
                    503, "the rows could not all be stored: send all again, those already here count as duplicate"
                ) from None

    async def _take(self, district: str, kind: Kind, form: Form, body: IO[bytes], *, received: int) -> Response:
        now_ms = int(time.time() * 1000)
        door = Door.at(now_ms, zone=self._context.settings.zone, moved=clock.moved())
        found = BodyRefused(422, "the body holds no rows")
        try:
            seen = await asyncio.to_thread(inspect_body, body, form, district=district, door=door)
        except BodyRefused as refusal:
            found = refusal
            seen = Inspected()
        used = Used(bytes=received, rows=seen.rows, refused=seen.refused)
        receipt = uuid4()
        async with self._context.pool.acquire() as connection, connection.transaction():
            await self._limits.refuse_over_allowance(connection, district, used)
            await counts.use(connection, district=district, hour=this_hour(), used=used)
            if seen.rows:
                await counts.issue_receipt(
                    connection, district=district, receipt=receipt, rows=seen.rows, not_taken_from=seen.not_taken_from
                )
        self._limits.note_refused(district, seen.refused)
        if not seen.rows:
            raise found
        topic = (ATTENDANCE_IN if kind == "attendance" else ROSTER_IN) + district
        for messages in _messages(body, receipt, seen):
            await self._context.publisher.publish_batches(topic, {0: messages})
        return _answer(receipt, seen)


def district_of(districts: Districts, authorization: str | None) -> str:
    """Give the district whose token this is. Raises HTTPException 401."""
    scheme, _, token = (authorization or "").partition(" ")
    owner = districts.district_of_token(token.strip()) if scheme.lower() == "bearer" and token else None
    if owner is None:
        raise HTTPException(401, "a district's bearer token is needed", {"WWW-Authenticate": "Bearer"})
    return owner


def authorize(districts: Districts, district: str, authorization: str | None) -> None:
    """Let the district's own token through; else it raises 401 (unknown), 404 (no such district) or 403."""
    owner = district_of(districts, authorization)
    if district not in districts.pseudonyms:
        raise HTTPException(404, "there is no such district")
    if owner != district:
        raise HTTPException(403, "this token belongs to another district")


class UploadLimits:
    """How often, how many at once, and how much in an hour a district may upload."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._pace = Bucket(BURST_UPLOADS, UPLOADS_PER_SECOND)
        self._refused = Debt(REFUSED_AT_ONCE, REFUSED_PER_SECOND)
        self._at_work: Counter[str] = Counter()

    @contextmanager
    def place_for(self, district: str) -> Iterator[None]:
        """Keep a place while an upload is taken in. Raises HTTPException 429 where the district has no more."""
        if wait_seconds := self._pace.wait_seconds(district, now=time.monotonic()):
            raise _later("too many uploads: send fewer, larger ones", wait_seconds)
        if wait_seconds := self._refused.wait_seconds(district, now=time.monotonic()):
            raise _later("too many rows of your last uploads could not be used: correct the feed first", wait_seconds)
        if self._at_work[district] >= MAX_UPLOADS_AT_ONCE:
            raise _later(f"{MAX_UPLOADS_AT_ONCE} of your uploads are being taken in: send one after the other", 1)
        self._at_work[district] += 1
        try:
            yield
        finally:
            self._at_work[district] -= 1

    def note_refused(self, district: str, rows: int) -> None:
        """Let the district wait for its next upload, the longer the more of this one goes back."""
        self._refused.take(district, rows, now=time.monotonic())

    async def refuse_over_allowance(self, connection: Connection, district: str, wanted: Used) -> None:
        """Raise HTTPException: 413 for more than any hour allows, 429 for more than is left of this one."""
        if reason := self._allowance.refuses(Used(), wanted):
            raise HTTPException(413, reason)
        used = await counts.used_in(connection, district=district, hour=this_hour())
        if reason := self._allowance.refuses(used, wanted):
            raise _later(reason, (this_hour() + timedelta(hours=1) - datetime.now(UTC)).total_seconds())


def this_hour() -> datetime:
    """Give the beginning of the hour in which a district's uploads are counted together."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def _later(reason: str, seconds: float) -> HTTPException:
    return HTTPException(429, reason, {"Retry-After": str(int(seconds) + 1)})


def _answer(receipt: UUID, seen: "Inspected") -> Response:
    if seen.not_taken_from is None:
        return JSONResponse(IssuedReceipt(id=receipt, rows=seen.rows).model_dump(mode="json"), status_code=202)
    detail = (
        f"{seen.refused} rows can't be used: nothing was taken from line {seen.not_taken_from} on; correct them and "
        f"send from there again. Receipt {receipt} tells of the rows before"
    )
    stopped = StoppedUpload(detail=detail, id=receipt, rows=seen.rows, not_taken_from=seen.not_taken_from)
    told = stopped.model_dump(mode="json")
    return problem_json(
        told.pop("status"),
        told.pop("title"),
        told.pop("detail"),
        **{name: told[name] for name in told if name != "type"},
    )


def _form_of(request: Request, kind: str) -> Form:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BodyRefused(415, "send the body without compression")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in NDJSON_TYPES:
        return "ndjson"
    if media_type == CSV_TYPE and kind == "attendance":
        return "csv"
    forms = f"{NDJSON_TYPES[0]} or {CSV_TYPE}" if kind == "attendance" else NDJSON_TYPES[0]
    raise BodyRefused(415, f"the content type must be {forms}")


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    return int(declared)


def _too_large() -> BodyRefused:
    return BodyRefused(413, f"the body is over {MAX_BODY_BYTES} bytes: send it in parts")


async def _spool(request: Request, body: IO[bytes]) -> int:
    """Keep the body aside, most of it on disk, and count it: nothing lands before the whole has passed the limits."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > MAX_BODY_BYTES:
            raise _too_large()
        try:
            body.write(chunk)
        except OSError:
            raise BodyRefused(503, "there is no room for so much at the moment: send it again later") from None
    return received


def inspect_body(body: IO[bytes], form: Form, *, district: str, door: Door) -> Inspected:
    """Read every row as ingest will, until too many can't become facts. Raises BodyRefused."""
    columns: tuple[str, ...] | None = None
    header: bytes | None = None
    rows = refused = 0
    for line, row in _lines(body):
        if len(row) > MAX_ROW_BYTES:
            raise BodyRefused(413, f"row {line} is over {MAX_ROW_BYTES} bytes")
        if form == "csv" and header is None:
            if len(row) > MAX_CSV_HEADER_BYTES:
                raise BodyRefused(413, f"the header line is over {MAX_CSV_HEADER_BYTES} bytes")
            try:
                columns = csv_rows.columns_of(row)
            except csv_rows.HeaderRefused as refusal:
                raise BodyRefused(422, str(refusal)) from None
            header = row
            continue
        if refused >= MAX_REFUSED_ROWS:
            return Inspected(columns=header, rows=rows, refused=refused, not_taken_from=line)
        refused += refused_of(door, read_value(row, columns, district=district))
        rows += 1
    if rows == 0:
        raise BodyRefused(422, "the body holds no rows")
    return Inspected(columns=header, rows=rows, refused=refused)


def _lines(body: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers, without the line end; one over the limit is cut behind it."""
    body.seek(0)
    line = 0
    while row := body.readline(MAX_ROW_BYTES + 3):
        line += 1
        if line > MAX_LINES:
            raise BodyRefused(413, f"the body has over {MAX_LINES} lines: send it in parts")
        row = row.removesuffix(b"\n").removesuffix(b"\r")
        if row.strip():
            yield line, row


def _messages(body: IO[bytes], receipt: UUID, seen: Inspected) -> Iterator[list[Message]]:
    columns = seen.columns
    common = [(RECEIPT_HEADER, str(receipt).encode())]
    if columns is not None:
        common.append((COLUMNS_HEADER, columns))
    messages: list[Message] = []
    header_seen = columns is None
    for line, row in _lines(body):
        if not header_seen:
            header_seen = True
            continue
        if line == seen.not_taken_from:
            break
        messages.append((None, row, [*common, (ROW_HEADER, str(line).encode())]))
        if len(messages) == _ROWS_PER_PUBLISH:
            yield messages
            messages = []
    if messages:
        yield messages
