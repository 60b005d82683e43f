"""`leap push FILE`: a district's file through ingest's HTTP door, with a bar and a receipt."""

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.commands import districts, http_client, state
from deploy.commands.screen import Bar, Screen

UPLOAD_BYTES = 32 * 1024 * 1024
PIECE_BYTES = 256 * 1024
RECEIPT_SECONDS = 120.0
POLL_SECONDS = 0.2
NDJSON, CSV = "application/x-ndjson", "text/csv"
ROSTER_TYPES = ("enrollment", "calendar", "household")
_EDFI_MARKER = "studentuniqueid"


class FileRefused(Exception):
    """The file can't be pushed; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One body for one address. `lines` are the numbers of its rows in the file that was pushed, where known."""

    kind: str
    media_type: str
    body: bytes
    lines: list[int] | None = None


def push(screen: Screen, *, file: Path, district: str, sessions: Path | None) -> int:
    """Upload the file and wait for its receipts; 0 where no row came back rejected, else 1."""
    found = state.load_running()
    address, token = found.address_of("ingest"), districts.token_of(district)
    receipts = upload(screen, list(uploads_of(file, sessions)), address=address, district=district, token=token)

    rejected = sum(receipt["rejected_rows"] for receipt in receipts)
    screen.give({"district": district, "receipts": receipts})
    for receipt in receipts:
        counts = "  ".join(f"{name} {receipt[name]:,}" for name in ("rows", "accepted", "duplicate", "pending"))
        screen.say(f"receipt {receipt['id']}  {receipt['kind']}: {counts}  rejected {receipt['rejected_rows']:,}")
        for row in receipt["rejected"][:20]:
            screen.say(f"  row {row['row']}: {row['reason']} ({row['detail']})")
    return 1 if rejected or any(receipt["pending"] for receipt in receipts) else 0


def upload(screen: Screen, uploads: list[Upload], *, address: str, district: str, token: str) -> list[dict[str, Any]]:
    """Send each body and return its receipt once nothing of it is pending any more, or time is up."""
    authorization = {"Authorization": f"Bearer {token}"}
    size = sum(len(each.body) for each in uploads)
    issued = []
    with screen.bar(f"uploading to {district}", total=size, unit="bytes") as bar:
        sent = 0
        for each in uploads:
            answer = http_client.post(
                address,
                f"/v1/districts/{district}/{each.kind}",
                {**authorization, "Content-Type": each.media_type},
                _pieces(each.body, bar, sent),
                len(each.body),
            )
            sent += len(each.body)
            issued.append((each, answer["id"]))

    receipts = [_receipt(address, receipt, authorization, each) for each, receipt in issued]
    rows = sum(receipt["rows"] for receipt in receipts)
    deadline = time.monotonic() + RECEIPT_SECONDS
    with screen.bar("rows accounted for", total=rows, unit="rows") as bar:
        while (pending := sum(receipt["pending"] for receipt in receipts)) and time.monotonic() < deadline:
            bar.advance_to(rows - pending)
            time.sleep(POLL_SECONDS)
            receipts = [_receipt(address, receipt, authorization, each) for each, receipt in issued]
        bar.advance_to(rows - pending)
    return receipts


def uploads_of(file: Path, sessions: Path | None) -> Iterator[Upload]:
    """Read a file as what it is: Ed-Fi events (with their sessions), our NDJSON, or our CSV of marks."""
    if not file.is_file():
        raise FileRefused(f"there is no file {file}")
    with file.open("rb") as opened:
        begins = opened.read(4096).decode("utf-8-sig", errors="replace").lstrip()
    if _EDFI_MARKER in begins.lower():
        yield from _edfi_uploads(file, sessions or _sessions_beside(file))
    elif begins.startswith("{"):
        yield from _ndjson_uploads(file.read_bytes().splitlines())
    else:
        header, *rows = file.read_bytes().splitlines()
        for chunk in _chunks(enumerate(rows, 2), room=UPLOAD_BYTES - len(header)):
            body = b"\n".join([header, *(row for _, row in chunk)])
            yield Upload(kind="attendance", media_type=CSV, body=body, lines=[0, *(line for line, _ in chunk)])


def ndjson(kind: str, records: Iterable[dict[str, Any]]) -> Upload:
    """Make one upload of records."""
    return Upload(kind=kind, media_type=NDJSON, body=b"\n".join(json.dumps(record).encode() for record in records))


def _edfi_uploads(file: Path, sessions: Path) -> Iterator[Upload]:
    from services.ingest.formats.edfi import EdFiRefused, landing_records

    try:
        records = list(landing_records(file, sessions))
    except EdFiRefused as refusal:
        raise FileRefused(str(refusal)) from None
    for kind in ("roster", "attendance"):
        for chunk in _chunks((0, value) for each, value in records if each == kind):
            yield Upload(kind=kind, media_type=NDJSON, body=b"\n".join(value for _, value in chunk))


def _sessions_beside(file: Path) -> Path:
    candidates = sorted(file.parent.glob("*sessions*.json"))
    if len(candidates) != 1:
        raise FileRefused(f"{file.name} holds Ed-Fi events: name the sessions file with --sessions")
    return candidates[0]


def _ndjson_uploads(rows: list[bytes]) -> Iterator[Upload]:
    rows_by_kind: dict[str, list[tuple[int, bytes]]] = {"roster": [], "attendance": []}
    for line, row in enumerate(rows, 1):
        rows_by_kind["roster" if _type_of(row) in ROSTER_TYPES else "attendance"].append((line, row))
    for kind, numbered in rows_by_kind.items():
        for chunk in _chunks(numbered):
            yield Upload(
                kind=kind,
                media_type=NDJSON,
                body=b"\n".join(row for _, row in chunk),
                lines=[line for line, _ in chunk],
            )


def _type_of(row: bytes) -> str | None:
    # What isn't JSON goes where marks go, and comes back from there with its reason.
    try:
        record = json.loads(row)
    except ValueError:
        return None
    return record.get("type") if isinstance(record, dict) else None


def _chunks(numbered: Iterable[tuple[int, bytes]], *, room: int = UPLOAD_BYTES) -> Iterator[list[tuple[int, bytes]]]:
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for line, row in numbered:
        if chunk and size + len(row) + 1 > room:
            yield chunk
            chunk, size = [], 0
        chunk.append((line, row))
        size += len(row) + 1
    if chunk:
        yield chunk


def _pieces(body: bytes, bar: Bar, sent: int) -> Iterator[bytes]:
    for start, end in itertools.pairwise([*range(0, len(body), PIECE_BYTES), len(body)]):
        yield body[start:end]
        bar.advance_to(sent + end)


def _receipt(address: str, receipt: str, headers: dict[str, str], upload: Upload) -> dict[str, Any]:
    found: dict[str, Any] = http_client.get(address, f"/v1/receipts/{receipt}", headers)
    for row in found["rejected"]:
        if upload.lines:
            row["row"] = upload.lines[row["row"] - 1]
    return {**found, "kind": upload.kind}
