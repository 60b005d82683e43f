"""Uploads over HTTP: a district's rows go unaltered to its landing topic, and a receipt tells what became of them."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Annotated, Literal
from uuid import UUID, uuid4

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field

from contracts.topics import ATTENDANCE_IN, ROSTER_IN
from services.ingest.formats import csv_rows
from services.ingest.formats.own import MAX_ROW_BYTES
from services.ingest.handlers.uploads import COLUMNS_HEADER, RECEIPT_HEADER, ROW_HEADER
from services.ingest.rules.pseudonyms import Districts
from services.ingest.store import counts, measured
from services.runtime.delivery.publisher import Message
from services.runtime.service import Context
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in

MAX_BODY_BYTES = 64 * 1024 * 1024
BURST_UPLOADS = 60
UPLOADS_PER_SECOND = 20.0
MAX_LISTED_ROWS = 1000
_ROWS_PER_PUBLISH = 2000
_SPOOL_MEMORY_BYTES = 1024 * 1024

NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV_TYPE = "text/csv"

Authorization = Annotated[str | None, Header()]
Who = Annotated[Person, Depends(signed_in)]


class IssuedReceipt(BaseModel):
    """An upload has landed; what becomes of its rows is told under the receipt's id."""

    id: UUID
    rows: int = Field(description="rows landed; blank lines and a CSV header are none")


class RefusedRow(BaseModel):
    """A row that went back. `row` is the line of the upload, the first line being 1."""

    row: int
    reason: str
    detail: str


class Receipt(BaseModel):
    """What became of an upload: rows = accepted + rejected_rows + duplicate + pending."""

    id: UUID
    district: str
    rows: int
    accepted: int
    duplicate: int
    rejected_rows: int
    rejected: list[RefusedRow] = Field(description=f"by line, the first {MAX_LISTED_ROWS}")
    pending: int


class LandedCounts(BaseModel):
    """What became of everything that landed for a district: landed = published + rejected, counted as records.

    A landed roll is one of `rolls`; its marks are counted beside that. Each landing place counts once, however often it
    is read.
    """

    district: str
    landed: int
    published: int
    marks: int
    retractions: int
    rolls: int
    roster: int
    rejected: int
    roll_marks: int = Field(description="marks inside landed rolls that went on")
    roll_marks_rejected: int = Field(description="marks inside landed rolls that went back, each by itself")
    missing: int = Field(description="records of the landing logs that were passed over; anything but 0 is a fault")


class Counts(BaseModel):
    """By district, in the order of their codes."""

    districts: list[LandedCounts]


class BodyRefused(Exception):
    """An upload can't land as a whole; nothing of it has."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def routes(context: Context, districts: Callable[[], Districts]) -> APIRouter:
    """Serve uploads, receipts and counts. `districts` gives those that may send now."""
    router = APIRouter(prefix="/v1", tags=["ingest"])
    limit = UploadLimit()

    async def receive(district: str, kind: Literal["attendance", "roster"], request: Request) -> IssuedReceipt:
        authorize(districts(), district, request.headers.get("authorization"))
        if wait_seconds := limit.wait_seconds(district, now=time.monotonic()):
            raise HTTPException(
                429, "too many uploads: send fewer, larger ones", {"Retry-After": str(int(wait_seconds) + 1)}
            )
        receipt = uuid4()
        try:
            form = _form_of(request, kind)
            with tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY_BYTES) as body:
                await _spool(request, body)
                columns, rows = await asyncio.to_thread(inspect_body, body, form)
                async with context.pool.acquire() as connection:
                    await counts.issue_receipt(connection, district=district, receipt=receipt, rows=rows)
                topic = (ATTENDANCE_IN if kind == "attendance" else ROSTER_IN) + district
                for messages in _messages(body, receipt, columns):
                    await context.publisher.publish_batches(topic, {0: messages})
        except BodyRefused as refusal:
            raise HTTPException(refusal.status, refusal.message) from None
        except KafkaError:
            raise HTTPException(
                503, "the rows could not all be stored: send all again, those already here count as duplicate"
            ) from None
        return IssuedReceipt(id=receipt, rows=rows)

    @router.post("/districts/{district}/attendance", status_code=202)
    async def receive_attendance(district: str, request: Request) -> IssuedReceipt:
        """Take marks, retractions, whole, completed and reopened rolls and feeds, as NDJSON, or marks as CSV."""
        return await receive(district, "attendance", request)

    @router.post("/districts/{district}/roster", status_code=202)
    async def receive_roster(district: str, request: Request) -> IssuedReceipt:
        """Take calendars, enrolments and households, as NDJSON."""
        return await receive(district, "roster", request)

    @router.get("/receipts/{receipt}")
    async def read_receipt(receipt: UUID, response: Response, authorization: Authorization = None) -> Receipt:
        """Tell what became of an upload, to the district that sent it."""
        district = _district_of(districts(), authorization)
        async with context.pool.acquire() as connection:
            found = await counts.find_receipt(connection, district=district, receipt=receipt)
            refused = await counts.list_rejected_rows(
                connection, district=district, receipt=receipt, limit=MAX_LISTED_ROWS
            )
        if found is None:
            # The same answer for another district's receipt: whether it exists is none of this one's business.
            raise HTTPException(404, "this district has no such receipt")
        response.headers["Cache-Control"] = "no-store"
        dealt_with = found["accepted"] + found["duplicate"] + found["rejected"]
        return Receipt(
            id=receipt,
            district=district,
            rows=found["rows"],
            accepted=found["accepted"],
            duplicate=found["duplicate"],
            rejected_rows=found["rejected"],
            rejected=[RefusedRow(row=row["row_number"], reason=row["reason"], detail=row["detail"]) for row in refused],
            pending=max(0, found["rows"] - dealt_with),
        )

    @router.get("/counts")
    async def read_counts(_: Who) -> Counts:
        """Tell, per district, how many records landed and what became of them. No personal data."""
        async with context.pool.acquire() as connection:
            counted = await counts.list_landed_counts(connection)
            gaps = await measured.list_gaps(connection)
        missing = {row["district"]: row["missing"] + row["uncounted"] for row in gaps}
        records_by_district: dict[str, dict[str, int]] = {}
        for row in counted:
            records_by_district.setdefault(row["district"], {})[row["kind"]] = row["records"]
        return Counts(
            districts=[
                _landed_counts(district, records, missing.get(district, 0))
                for district, records in records_by_district.items()
            ]
        )

    return router


def _landed_counts(district: str, records_by_kind: dict[str, int], missing: int) -> LandedCounts:
    rejected = records_by_kind.get("rejected", 0)
    in_rolls = [records_by_kind.pop(kind, 0) for kind in ("roll_mark", "roll_mark_rejected")]
    landed = sum(records_by_kind.values())
    return LandedCounts(
        district=district,
        landed=landed,
        published=landed - rejected,
        marks=records_by_kind.get("mark", 0),
        retractions=records_by_kind.get("retraction", 0),
        rolls=records_by_kind.get("roll", 0),
        roster=records_by_kind.get("roster", 0),
        rejected=rejected,
        roll_marks=in_rolls[0],
        roll_marks_rejected=in_rolls[1],
        missing=missing,
    )


def _district_of(districts: Districts, authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    owner = districts.district_of_token(token.strip()) if scheme.lower() == "bearer" and token else None
    if owner is None:
        raise HTTPException(401, "a district's bearer token is needed", {"WWW-Authenticate": "Bearer"})
    return owner


def authorize(districts: Districts, district: str, authorization: str | None) -> None:
    """Let the district's own token through; else it raises 401 (unknown), 404 (no such district) or 403."""
    owner = _district_of(districts, authorization)
    if district not in districts.pseudonyms:
        raise HTTPException(404, "there is no such district")
    if owner != district:
        raise HTTPException(403, "this token belongs to another district")


@dataclass(slots=True)
class UploadLimit:
    """A token bucket per district: a burst of uploads, then a steady rate."""

    _bucket_by_district: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_seconds(self, district: str, *, now: float) -> float:
        """Take one upload from the bucket and return 0, or the seconds until there is one again."""
        uploads, since = self._bucket_by_district.get(district, (float(BURST_UPLOADS), now))
        uploads = min(float(BURST_UPLOADS), uploads + (now - since) * UPLOADS_PER_SECOND)
        if uploads < 1:
            self._bucket_by_district[district] = uploads, now
            return (1 - uploads) / UPLOADS_PER_SECOND
        self._bucket_by_district[district] = uploads - 1, now
        return 0.0


def _form_of(request: Request, kind: str) -> Literal["ndjson", "csv"]:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BodyRefused(415, "send the body without compression")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in NDJSON_TYPES:
        return "ndjson"
    if media_type == CSV_TYPE and kind == "attendance":
        return "csv"
    forms = f"{NDJSON_TYPES[0]} or {CSV_TYPE}" if kind == "attendance" else NDJSON_TYPES[0]
    raise BodyRefused(415, f"the content type must be {forms}")


async def _spool(request: Request, body: IO[bytes]) -> None:
    """Keep the body aside, most of it on disk: nothing may land before the whole has passed the limits."""
    declared = request.headers.get("content-length", "0")
    too_large = BodyRefused(413, f"the body is over {MAX_BODY_BYTES} bytes: send it in parts")
    if not declared.isdecimal() or int(declared) > MAX_BODY_BYTES:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > MAX_BODY_BYTES:
            raise too_large
        body.write(chunk)


def inspect_body(body: IO[bytes], form: Literal["ndjson", "csv"]) -> tuple[bytes | None, int]:
    """Return the CSV header line (None for NDJSON) and the number of rows. Raises BodyRefused."""
    columns = None
    rows = 0
    for line, row in _lines(body):
        if len(row) > MAX_ROW_BYTES:
            raise BodyRefused(413, f"row {line} is over {MAX_ROW_BYTES} bytes")
        if form == "csv" and columns is None:
            try:
                csv_rows.columns_of(row)
            except csv_rows.HeaderRefused as refusal:
                raise BodyRefused(422, str(refusal)) from None
            columns = row
            continue
        rows += 1
    if rows == 0:
        raise BodyRefused(422, "the body holds no rows")
    return columns, rows


def _lines(body: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers, without the line end; one over the limit is cut behind it."""
    body.seek(0)
    line = 0
    while row := body.readline(MAX_ROW_BYTES + 3):
        line += 1
        row = row.removesuffix(b"\n").removesuffix(b"\r")
        if row.strip():
            yield line, row


def _messages(body: IO[bytes], receipt: UUID, columns: bytes | None) -> Iterator[list[Message]]:
    common = [(RECEIPT_HEADER, str(receipt).encode())]
    if columns is not None:
        common.append((COLUMNS_HEADER, columns))
    messages: list[Message] = []
    header_seen = columns is None
    for line, row in _lines(body):
        if not header_seen:
            header_seen = True
            continue
        messages.append((None, row, [*common, (ROW_HEADER, str(line).encode())]))
        if len(messages) == _ROWS_PER_PUBLISH:
            yield messages
            messages = []
    if messages:
        yield messages
