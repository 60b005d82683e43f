"""An upload over HTTP: rows land unaltered, the receipt adds up, and every limit answers clearly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from contracts.access import ROUTES
from services.ingest import api
from services.ingest.api import uploads
from services.ingest.formats.own import MAX_ROW_BYTES
from services.ingest.handlers import landed as handlers
from services.ingest.handlers.progress import decode_progress, on_receipt_progressed
from services.ingest.rules.allowance import MAX_REFUSED_ROWS, REFUSED_PER_SECOND, Allowance
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service
from tests import people
from tests.delivering import RecordingPublisher, deliver, record, served
from tests.unit.ingest.landed import DANBURY_TOKEN, HARTFORD_TOKEN, NOON, districts, enrollment, mark

ATTENDANCE = "/v1/districts/hartford/attendance"
NDJSON = {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {HARTFORD_TOKEN}"}
CSV = {**NDJSON, "Content-Type": "text/csv; charset=utf-8"}

landed = Subscription(
    group="leap-ingest",
    pattern="^(attendance|roster)-in-.*",
    decode=partial(handlers.decode_landed, districts=districts()),
    handle=partial(handlers.on_landed, districts=districts()),
)
progress = Subscription(
    group="leap-ingest-receipts",
    topics=("receipt-progress",),
    decode=decode_progress,
    handle=on_receipt_progressed,
)


class Ingest:
    """The service's HTTP side, and what it published; `land` takes it from the landing topic on."""

    def __init__(self, pool: Any, allowance: Allowance | None = None) -> None:
        self.pool = pool
        self.publisher = RecordingPublisher()
        service = Service(
            name="ingest",
            access=ROUTES["ingest"],
            migrations=Path(__file__).parent,
            routes=lambda context: api.routes(context, districts, allowance),
            max_body_bytes=None,
        )
        app = served(service, pool, people.everybody(), self.publisher)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ingest")

    async def upload(self, content: Any) -> httpx.Response:
        """Send Hartford's rows."""
        return await self.client.post("/v1/districts/hartford/attendance", content=content, headers=NDJSON)

    async def land(self) -> None:
        """What the uploads published is delivered back as landed records."""
        uploaded, self.publisher.published = self.publisher.published, []
        records = [
            record(topic, partition, offset, value, key=key, headers=headers, timestamp_ms=NOON)
            for offset, (topic, partition, (key, value, headers)) in enumerate(uploaded)
        ]
        await deliver(self.pool, landed, records, self.publisher)

    async def receipt(self, receipt: str, token: str = HARTFORD_TOKEN) -> dict[str, Any]:
        """The receipt as the district reads it."""
        answer = await self.client.get(f"/v1/receipts/{receipt}", headers={"Authorization": f"Bearer {token}"})
        return cast(dict[str, Any], answer.json())

    async def flagging_says(
        self, receipt: str, *, accepted: int, duplicate: int, event_id: str, rolls: Sequence[tuple[int, int, int]] = ()
    ) -> None:
        """Flagging's word on the marks of an upload; `rolls` as offset, accepted and duplicate."""
        event: dict[str, Any] = {
            "event_type": "receipt.progressed.v1",
            "event_id": event_id,
            "occurred_at": "2026-09-01T12:00:00Z",
            "district": "hartford",
            "receipt": receipt,
            "accepted": accepted,
            "duplicate": duplicate,
        }
        if rolls:
            event["rolls"] = [dict(zip(("offset", "accepted", "duplicate"), each, strict=True)) for each in rolls]
        self._progress = getattr(self, "_progress", -1) + 1
        await deliver(self.pool, progress, [record("receipt-progress", 0, self._progress, json.dumps(event))])


@pytest_asyncio.fixture
async def ingest(service_database: Callable[[str], Awaitable[Any]]) -> AsyncIterator[Ingest]:
    service = Ingest(await service_database("ingest"))
    yield service
    await service.client.aclose()


async def test_an_uploads_receipt_adds_up_from_landing_to_the_last_mark(ingest: Ingest) -> None:
    rows = [
        json.dumps(mark()),
        "",
        '{"type": "mark",  "spaces": "kept"}',
        json.dumps({"type": "roll_completed", "school": "H01", "date": "2026-09-01", "feed": "exceptions"}),
        json.dumps(mark(student="2")),
    ]
    answer = await ingest.client.post(ATTENDANCE, content="\n".join(rows), headers=NDJSON)

    assert answer.status_code == 202
    receipt = answer.json()["id"]
    assert answer.json()["rows"] == 4
    assert (await ingest.receipt(receipt))["pending"] == 4
    assert [m[1] for _, _, m in ingest.publisher.published] == [row.encode() for row in rows if row]

    await ingest.land()
    now = await ingest.receipt(receipt)
    assert (now["accepted"], now["rejected_rows"], now["duplicate"], now["pending"]) == (1, 1, 0, 2)
    assert now["rejected"] == [{"row": 3, "reason": "missing_field", "detail": "school: missing"}]

    event_id = str(uuid4())
    await ingest.flagging_says(receipt, accepted=1, duplicate=1, event_id=event_id)
    await ingest.flagging_says(receipt, accepted=1, duplicate=1, event_id=event_id)  # the same event again
    now = await ingest.receipt(receipt)
    assert (now["accepted"], now["rejected_rows"], now["duplicate"], now["pending"]) == (2, 1, 1, 0)


async def test_rows_told_again_in_other_batches_by_restored_tables_count_once(ingest: Ingest) -> None:
    rows = "\n".join(json.dumps(mark(student=str(n))) for n in range(10))
    receipt = (await ingest.client.post(ATTENDANCE, content=rows, headers=NDJSON)).json()["id"]
    await ingest.land()
    said = partial(ingest.flagging_says, receipt, accepted=0, duplicate=0)
    await said(event_id=str(uuid4()), rolls=[(40, 3, 1)])
    await said(event_id=str(uuid4()), rolls=[(41, 2, 0)])
    # The same rolls, in a batch of all of them and one more, under another id; and one of them a third time.
    await said(event_id=str(uuid4()), rolls=[(40, 4, 0), (41, 2, 0), (47, 4, 0)])
    await said(event_id=str(uuid4()), rolls=[(41, 2, 0)])
    now = await ingest.receipt(receipt)
    assert (now["accepted"], now["duplicate"], now["pending"]) == (9, 1, 0)
    ranges = await ingest.pool.fetchval("SELECT told_by::text FROM receipt")
    assert ranges == "{[40,42),[47,48)}"


async def test_csv_rows_land_unaltered_and_become_marks(ingest: Ingest) -> None:
    body = (
        b"student,school,date,category,present_parts,day_parts,version\r\n"
        b'100234,"H01",2026-09-01,tardy,,,1\r\n'
        b"100235,H01,2026-02-30,tardy,,,1\r\n"
    )
    answer = await ingest.client.post("/v1/districts/hartford/attendance", content=body, headers=CSV)
    assert ingest.publisher.published[0][2][1] == b'100234,"H01",2026-09-01,tardy,,,1'

    await ingest.land()
    now = await ingest.receipt(answer.json()["id"])
    assert (now["rows"], now["pending"]) == (2, 1)
    assert [(row["row"], row["reason"]) for row in now["rejected"]] == [(3, "impossible_date")]
    assert sorted(topic for topic, _, _ in ingest.publisher.published) == ["attendance-rejected", "rolls"]


async def test_a_roster_lands_on_the_roster_topic_and_is_accepted_once_published(ingest: Ingest) -> None:
    answer = await ingest.client.post("/v1/districts/hartford/roster", content=json.dumps(enrollment()), headers=NDJSON)
    assert ingest.publisher.published[0][0] == "roster-in-hartford"

    await ingest.land()
    now = await ingest.receipt(answer.json()["id"])
    assert (now["accepted"], now["pending"]) == (1, 0)


async def test_counts_add_up_per_district(ingest: Ingest) -> None:
    rows = "\n".join([json.dumps(mark()), "{", json.dumps(mark(type="retraction")), json.dumps(enrollment())])
    await ingest.client.post("/v1/districts/hartford/attendance", content=rows, headers=NDJSON)
    await ingest.land()

    [counts] = (await ingest.client.get("/v1/counts", headers=people.headers("ops"))).json()["districts"]
    assert counts == {
        "district": "hartford",
        "landed": 4,
        "published": 3,
        "marks": 1,
        "retractions": 1,
        "rolls": 0,
        "roster": 1,
        "rejected": 1,
        "roll_marks": 0,
        "roll_marks_rejected": 0,
        "missing": 0,
    }


async def test_a_receipt_is_shown_to_its_own_district_only(ingest: Ingest) -> None:
    answer = await ingest.client.post("/v1/districts/hartford/attendance", content=json.dumps(mark()), headers=NDJSON)
    receipt = answer.json()["id"]
    assert (await ingest.receipt(receipt, DANBURY_TOKEN))["detail"] == "this district has no such receipt"
    assert (await ingest.client.get(f"/v1/receipts/{receipt}")).status_code == 401


async def test_a_receipt_named_by_another_districts_record_is_not_moved(ingest: Ingest) -> None:
    answer = await ingest.client.post("/v1/districts/hartford/attendance", content=json.dumps(mark()), headers=NDJSON)
    receipt = answer.json()["id"]
    forged = [("leap-receipt", receipt.encode()), ("leap-row", b"1")]

    await deliver(
        ingest.pool,
        landed,
        [
            record("attendance-in-danbury", 0, 0, b"{", headers=forged),
            record("roster-in-danbury", 0, 0, json.dumps(enrollment()), headers=forged),
        ],
    )

    assert (await ingest.receipt(receipt))["pending"] == 1


@pytest.mark.parametrize(
    ("path", "changes", "body", "status"),
    [
        ("/v1/districts/hartford/attendance", {"Authorization": ""}, b"{}", 401),
        ("/v1/districts/hartford/attendance", {"Authorization": "Bearer nobody's"}, b"{}", 401),
        ("/v1/districts/hartford/attendance", {"Authorization": f"Bearer {DANBURY_TOKEN}"}, b"{}", 403),
        ("/v1/districts/atlantis/attendance", {}, b"{}", 404),
        ("/v1/districts/hartford/attendance", {}, b"x" * (MAX_ROW_BYTES + 1), 413),
        ("/v1/districts/hartford/attendance", {"Content-Length": str(uploads.MAX_BODY_BYTES + 1)}, b"{}", 413),
        ("/v1/districts/hartford/attendance", {"Content-Type": "application/pdf"}, b"{}", 415),
        ("/v1/districts/hartford/attendance", {"Content-Encoding": "gzip"}, b"{}", 415),
        ("/v1/districts/hartford/roster", {"Content-Type": "text/csv"}, b"{}", 415),
        ("/v1/districts/hartford/attendance", {}, b"\n\n", 422),
        ("/v1/districts/hartford/attendance", {"Content-Type": "text/csv"}, b"colour,shape\n1,2\n", 422),
    ],
)
async def test_what_cannot_land_is_answered_clearly_and_nothing_of_it_lands(
    ingest: Ingest, path: str, changes: dict[str, str], body: bytes, status: int
) -> None:
    answer = await ingest.client.post(path, content=body, headers={**NDJSON, **changes})

    assert answer.status_code == status
    assert answer.json()["detail"]
    assert ingest.publisher.published == []
    assert await ingest.pool.fetchval("SELECT count(*) FROM receipt") == 0


async def test_a_body_that_grows_over_the_limit_is_cut_off(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_BODY_BYTES", 1000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield json.dumps(mark()).encode() + b"\n"

    answer = await ingest.client.post("/v1/districts/hartford/attendance", content=chunks(), headers=NDJSON)
    assert answer.status_code == 413
    assert ingest.publisher.published == []


async def test_too_many_uploads_in_a_row_are_told_to_wait(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BURST_UPLOADS", 2)
    monkeypatch.setattr(uploads, "UPLOADS_PER_SECOND", 0.001)
    hasty = Ingest(ingest.pool)
    answers = [await hasty.upload(json.dumps(mark())) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[2].headers["Retry-After"]) > 0


async def test_a_district_that_sends_several_at_once_waits_and_another_does_not(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOADS_AT_ONCE", 1)
    going_on, sent = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield json.dumps(mark()).encode()
        sent.set()
        await going_on.wait()

    first = asyncio.create_task(ingest.upload(slowly()))
    await sent.wait()
    assert (await ingest.upload(json.dumps(mark()))).status_code == 429
    neighbour = await ingest.client.post(
        "/v1/districts/danbury/attendance",
        content=json.dumps(mark()),
        headers={**NDJSON, "Authorization": f"Bearer {DANBURY_TOKEN}"},
    )
    assert neighbour.status_code == 202
    going_on.set()
    assert (await first).status_code == 202
    assert (await ingest.upload(json.dumps(mark()))).status_code == 202


async def test_an_upload_of_rubbish_stops_and_its_receipt_says_what_was_taken_and_what_not(ingest: Ingest) -> None:
    good = [json.dumps(mark(student=str(number))) for number in range(5)]
    rows = [good[0], good[1], *["{}"] * (MAX_REFUSED_ROWS - 1), good[2], "", '{"type": "mark"}', good[3], good[4]]
    answer = await ingest.upload("\n".join(rows))

    assert answer.status_code == 422
    told = answer.json()
    taken = 2 + MAX_REFUSED_ROWS - 1 + 1 + 1
    assert (told["rows"], told["not_taken_from"]) == (taken, len(rows) - 1)
    assert f"line {len(rows) - 1}" in told["detail"]
    assert [m[1] for _, _, m in ingest.publisher.published] == [row.encode() for row in rows[:-2] if row]

    # At once: the wait is of seconds, and 500 rows are to land next.
    rest = "\n".join(rows[told["not_taken_from"] - 1 :])
    waits = await ingest.upload(rest)
    assert waits.status_code == 429, "a feed that goes on like that has to wait"
    assert 0 < int(waits.headers["Retry-After"]) <= MAX_REFUSED_ROWS / REFUSED_PER_SECOND + 1

    await ingest.land()
    now = await ingest.receipt(told["id"])
    assert (now["rows"], now["rejected_rows"], now["not_taken_from"]) == (taken, MAX_REFUSED_ROWS, len(rows) - 1)
    assert now["pending"] == 3  # the good ones, of which flagging will speak

    again = await Ingest(ingest.pool).upload(rest)
    assert (again.status_code, again.json()["rows"]) == (202, 2)
    assert (await ingest.receipt(again.json()["id"]))["not_taken_from"] is None


@pytest.mark.parametrize(
    "row",
    [
        mark(date="1999-01-04"),
        mark(district="danbury"),
        mark(category="elsewhere"),
        {"type": "roll_completed", "school": "H01", "date": "1999-01-04", "feed": "full"},
        {"type": "roll", "school": "H01", "date": "2026-09-01", "marks": [["1", "elsewhere", 1]] * 3},
    ],
)
async def test_whatever_will_go_back_counts_where_it_comes_in(ingest: Ingest, row: dict[str, Any]) -> None:
    answer = await ingest.upload("\n".join([json.dumps(row)] * (MAX_REFUSED_ROWS + 5)))
    assert answer.status_code == 422
    assert answer.json()["not_taken_from"] <= MAX_REFUSED_ROWS + 1


async def test_a_district_has_an_allowance_for_each_hour_and_is_told_what_is_used_up(ingest: Ingest) -> None:
    row = json.dumps(mark())
    by_rows = Ingest(ingest.pool, Allowance(rows=5))
    assert (await by_rows.upload("\n".join([row] * 6))).status_code == 413  # no hour allows so many
    assert (await by_rows.upload("\n".join([row] * 4))).status_code == 202
    refused = await by_rows.upload("\n".join([row] * 2))
    assert (refused.status_code, refused.json()["detail"]) == (429, "over 5 rows in this hour: send the rest later")
    assert 0 < int(refused.headers["Retry-After"]) <= 3600

    by_bytes = Ingest(ingest.pool, Allowance(bytes=len(row) * 4 + 100))
    assert (await by_bytes.upload(row * 6)).status_code == 413
    assert (await by_bytes.upload(row)).status_code == 429

    by_refused = Ingest(ingest.pool, Allowance(refused=3))
    assert (await by_refused.upload("{}\n" * 3)).status_code == 202
    refused = await by_refused.upload(row)
    assert (refused.status_code, "correct the feed" in refused.json()["detail"]) == (429, True)

    await ingest.pool.execute("UPDATE upload_hour SET hour = hour - interval '1 hour'")
    assert (await by_refused.upload(row)).status_code == 202
    assert await ingest.pool.fetchval("SELECT rows FROM upload_hour WHERE district = 'hartford'") == 1


async def test_a_header_that_would_land_with_every_row_is_short(ingest: Ingest) -> None:
    header = b"student,school,date,category,version," + b"x" * 3000
    answer = await ingest.client.post("/v1/districts/hartford/attendance", content=header + b"\n1,2\n", headers=CSV)
    assert (answer.status_code, ingest.publisher.published) == (413, [])


async def test_a_body_of_line_ends_is_not_read_to_its_end(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_LINES", 100)
    assert (await ingest.upload("\n" * 200)).status_code == 413
