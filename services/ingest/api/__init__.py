"""What a district and operations may ask ingest over HTTP: uploads, receipts, counts."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field

from services.ingest.api.uploads import IssuedReceipt, StoppedUpload, Uploads, district_of
from services.ingest.rules.allowance import Allowance
from services.ingest.rules.pseudonyms import Districts
from services.ingest.store import counts, measured
from services.runtime.service import Context
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in

MAX_LISTED_ROWS = 1000

Authorization = Annotated[str | None, Header()]
Who = Annotated[Person, Depends(signed_in)]

_STOPPED: dict[int | str, dict[str, Any]] = {422: {"model": StoppedUpload}}


class RefusedRow(BaseModel):
    """A row that went back. `row` is the line of the upload, the first line being 1."""

    row: int
    reason: str
    detail: str


class Receipt(BaseModel):
    """What became of an upload: rows = accepted + rejected_rows + duplicate + pending.

    From the line `not_taken_from` on, where it is said, nothing was taken.
    """

    id: UUID
    district: str
    rows: int
    accepted: int
    duplicate: int
    rejected_rows: int
    rejected: list[RefusedRow] = Field(description=f"by line, the first {MAX_LISTED_ROWS}")
    pending: int
    not_taken_from: int | None = None


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


def routes(context: Context, districts: Callable[[], Districts], allowance: Allowance | None = None) -> APIRouter:
    """Serve uploads, receipts and counts. `districts` gives those that may send now."""
    router = APIRouter(prefix="/v1", tags=["ingest"])
    uploads = Uploads(context, districts, allowance or Allowance())

    @router.post("/districts/{district}/attendance", status_code=202, response_model=IssuedReceipt, responses=_STOPPED)
    async def receive_attendance(district: str, request: Request) -> Response:
        """Take marks, retractions, whole, completed and reopened rolls and feeds, as NDJSON, or marks as CSV."""
        return await uploads.receive(district, "attendance", request)

    @router.post("/districts/{district}/roster", status_code=202, response_model=IssuedReceipt, responses=_STOPPED)
    async def receive_roster(district: str, request: Request) -> Response:
        """Take calendars, enrolments and households, as NDJSON."""
        return await uploads.receive(district, "roster", request)

    @router.get("/receipts/{receipt}")
    async def read_receipt(receipt: UUID, authorization: Authorization = None) -> Receipt:
        """Tell what became of an upload, to the district that sent it."""
        district = district_of(districts(), authorization)
        async with context.pool.acquire() as connection:
            found = await counts.find_receipt(connection, district=district, receipt=receipt)
            refused = await counts.list_rejected_rows(
                connection, district=district, receipt=receipt, limit=MAX_LISTED_ROWS
            )
        if found is None:
            # The same answer for another district's receipt: whether it exists is none of this one's business.
            raise HTTPException(404, "this district has no such receipt")
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
            not_taken_from=found["not_taken_from"],
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
