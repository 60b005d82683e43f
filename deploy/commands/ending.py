"""`leap district end DISTRICT --into FOLDER`: the end of a contract. All that is theirs is exported, then erased.

Each step may be repeated: what broke off goes on where it was, with the same export. The certificate is written last.
"""

import asyncio
import base64
import hashlib
import json
import time
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from contracts import events
from contracts.events.forgetting import key_of
from contracts.identities import identity
from contracts.services import SERVICES
from contracts.topics import FORGOTTEN, HOUSEHOLD_CONTACTS, PARTITIONS, landing_topics
from deploy.audit.logs import Logs
from deploy.commands import districts, state
from deploy.commands.forget import Places, drop_former_tables
from deploy.commands.kept_of import REJECTED
from deploy.commands.screen import Screen
from deploy.local.machine import write_whole
from deploy.local.topics import admin
from services.ingest.handlers.clearing import cut_logs
from services.runtime.broker_access import Broker
from services.runtime.delivery.publisher import partition_of

ERASED_SECONDS = 300.0
POLL_SECONDS = 0.5
ROWS_AT_A_TIME = 2_000

# Rows that name no district themselves, by what they belong to; $1 is the district.
_REQUESTS = "SELECT request_id FROM request WHERE district = $1"
_VISITS = f"SELECT visit_id FROM visit WHERE request_id IN ({_REQUESTS})"
_VISITORS = "SELECT visitor_id FROM visitor WHERE district = $1"
_LOGS = "SELECT log_id FROM visit_log JOIN visit USING (visit_id) WHERE district = $1"
LINKED: Mapping[str, Mapping[str, str]] = {
    "ingest": {},
    "flagging": {"flag_history": "student_key IN (SELECT student_key FROM flag WHERE district = $1)"},
    "scheduling": {
        "contact_attempt": f"request_id IN ({_REQUESTS})",
        "request_history": f"request_id IN ({_REQUESTS})",
        "offered_time": f"request_id IN ({_REQUESTS})",
        "contact_disclosure": f"request_id IN ({_REQUESTS})",
        "promise": "household_key IN (SELECT household_key FROM request WHERE district = $1)",
        "visit": f"request_id IN ({_REQUESTS})",
        "appointment": f"visit_id IN ({_VISITS})",
        "booking": f"visit_id IN ({_VISITS})",
        "visitor_window": f"visitor_id IN ({_VISITORS})",
        "visitor_away": f"visitor_id IN ({_VISITORS})",
        "visitor_exclusion": f"visitor_id IN ({_VISITORS})",
    },
    "visitlog": {
        "visit_log": "visit_id IN (SELECT visit_id FROM visit WHERE district = $1)",
        "amendment": f"log_id IN ({_LOGS})",
        "effort": f"log_id IN ({_LOGS})",
        "referral": f"log_id IN ({_LOGS})",
        "referral_step": f"referral_id IN (SELECT referral_id FROM referral WHERE log_id IN ({_LOGS}))",
        "safety_timer": "visit_id IN (SELECT visit_id FROM visit WHERE district = $1)",
    },
    "reporting": {},
}
_TABLES = """
SELECT c.table_name, c.column_name FROM information_schema.columns AS c
JOIN pg_tables AS t ON t.schemaname = c.table_schema AND t.tablename = c.table_name
WHERE c.table_schema = current_schema() AND c.column_name IN ('district', 'owner', 'scope')
    AND c.table_name <> ALL ($1::text[])
ORDER BY 1"""
# What says that it is over, and what was let go before: neither is a child's.
_STAYS = ["ended_owner", "let_go"]


class NotEnded(Exception):
    """It could not be done, or not yet; the message says what stands and what to do."""


def end(screen: Screen, *, district: str, folder: Path, dry_run: bool) -> int:
    """Export, erase and certify; with `dry_run` export and count alone. Given again it goes on."""
    found = state.load_whole()
    places = Places(
        broker=found.broker_door().administrator,
        admin_url=found.admin_url(),
        ingest=found.address_of("ingest"),
        districts_file=districts.districts_file(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with screen.wait(f"everything of {district} in {folder}"):
        manifest = asyncio.run(export(district, folder, places))
    rows = sum(manifest["rows"].values())
    screen.say(f"{folder / manifest['file']}: {rows:,} rows and records, SHA-256 {manifest['sha256'][:16]}...")
    if dry_run:
        screen.give({"dry_run": True, **manifest})
        screen.say("nothing was erased")
        return 0
    with screen.wait("erased, wherever it was kept"):
        certificate = asyncio.run(erase(district, folder, places, manifest))
    screen.give(certificate)
    screen.say((folder / "certificate.txt").read_text())
    return 0


async def export(district: str, folder: Path, places: Places) -> dict[str, Any]:
    """Write everything of a district into a zip of NDJSON with a manifest, once. Raises NotEnded.

    It holds families' data and the secret behind the pseudonyms: with it the district can tell who a key is.
    """
    manifest_file, file = folder / "manifest.json", folder / f"{district}.zip"
    if manifest_file.exists():
        manifest: dict[str, Any] = json.loads(manifest_file.read_text())
        if manifest["district"] != district or not file.exists() or _digest(file) != manifest["sha256"]:
            raise NotEnded(f"{folder} holds another export than its manifest says; choose another folder")
        return manifest
    declared = json.loads(places.districts_file.read_text())["districts"]
    if district not in declared:
        raise NotEnded(f"there is no district {district}, and no export of it in {folder}")
    rows: dict[str, int] = {}
    arriving = file.with_suffix(".arriving")
    arriving.unlink(missing_ok=True)
    arriving.touch(mode=0o600)
    with zipfile.ZipFile(arriving, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("pseudonyms.json", json.dumps({"secret": declared[district]["secret"], "how": _HOW}))
        for service in SERVICES:
            async with _schema(places.admin_url, service) as connection:
                for table, condition in (await _tables(connection, service)).items():
                    with packed.open(f"{service}/{table}.ndjson", "w") as out:
                        rows[f"{service}/{table}"] = await _write_rows(connection, table, condition, district, out)
        for topic, lines in (await _landed(district, places.broker)).items():
            packed.writestr(f"sent/{topic}.ndjson", "\n".join(lines))
            rows[f"sent/{topic}"] = len(lines)
        packed.writestr("manifest.json", json.dumps({"district": district, "rows": rows}, indent=1))
    arriving.rename(file)
    manifest = {
        "district": district,
        "file": file.name,
        "exported_at": datetime.now(UTC).isoformat(),
        "sha256": _digest(file),
        "rows": rows,
    }
    write_whole(manifest_file, json.dumps(manifest, indent=1))
    return manifest


async def erase(district: str, folder: Path, places: Places, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Erase everything of a district and write the certificate. Raises NotEnded where a service has not done so yet."""
    _take_out_of_the_file(places.districts_file, district)
    taken_back = await _tell(district, places)
    await _remove_topics(district, places.broker)
    await drop_former_tables(places.admin_url)
    until = time.monotonic() + ERASED_SECONDS
    while left := {name: rows for name, rows in (await count(district, places.admin_url)).items() if rows}:
        if time.monotonic() > until:
            raise NotEnded(f"still there after {ERASED_SECONDS:.0f} s: {left}; see `leap status`, then give it again")
        await asyncio.sleep(POLL_SECONDS)
    certificate = {
        "district": district,
        "erased_at": datetime.now(UTC).isoformat(),
        "export": {"file": manifest["file"], "sha256": manifest["sha256"], "exported_at": manifest["exported_at"]},
        "erased": {name: rows for name, rows in manifest["rows"].items() if rows},
        "contact_records_taken_back": taken_back,
        "topics_removed": list(landing_topics(district)),
        "left": 0,
        "stays": _STAYS_SAID,
    }
    write_whole(folder / "certificate.json", json.dumps(certificate, indent=1))
    write_whole(folder / "certificate.txt", _printed(certificate))
    return certificate


async def count(district: str, admin_url: str) -> dict[str, int]:
    """Count the rows of a district in every table of every service."""
    rows: dict[str, int] = {}
    for service in SERVICES:
        async with _schema(admin_url, service) as connection:
            for table, condition in (await _tables(connection, service)).items():
                rows[f"{service}/{table}"] = int(
                    await connection.fetchval(f'SELECT count(*) FROM "{table}" WHERE {condition}', district)
                )
    return rows


@asynccontextmanager
async def _schema(admin_url: str, service: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": service})
    try:
        yield connection
    finally:
        await connection.close()


async def _tables(connection: Any, service: str) -> dict[str, str]:
    own = {row[0]: f"{row[1]} = $1" for row in await connection.fetch(_TABLES, _STAYS)}
    return own | dict(LINKED[service])


async def _write_rows(connection: Any, table: str, condition: str, district: str, out: Any) -> int:
    written = 0
    async with connection.transaction():
        statement = f'SELECT to_jsonb(each)::text FROM "{table}" AS each WHERE {condition}'
        async for row in connection.cursor(statement, district, prefetch=ROWS_AT_A_TIME):
            out.write(row[0].encode() + b"\n")
            written += 1
    return written


async def _landed(district: str, broker: Broker) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {topic: [] for topic in landing_topics(district)}

    def take(record: ConsumerRecord) -> None:
        try:
            text = (record.value or b"").decode()
        except UnicodeDecodeError:
            text = json.dumps({"base64": base64.b64encode(record.value or b"").decode()})
        lines[record.topic].append(" ".join(text.splitlines()))

    async with Logs(broker) as logs:
        if there := sorted(lines.keys() & set(await _topics(broker))):
            await logs.read(await logs.begins(await logs.partitions(there)), take)
    return lines


async def _topics(broker: Broker) -> list[str]:
    async with admin(broker) as client:
        return list(await client.list_topics())


def _take_out_of_the_file(file: Path, district: str) -> None:
    """Take the district out of the file of who may send, and with it the secret: no key can be traced to a number."""
    written = json.loads(file.read_text())
    if written["districts"].pop(district, None) is not None:
        write_whole(file, json.dumps(written, indent=1))


async def _tell(district: str, places: Places) -> int:
    """Let ingest take back all contact data and say that the contract is over; in its outbox, in one transaction."""
    households = await _households(district, places.broker)
    ended = events.DistrictEnded(
        event_id=identity("district.ended.v1", district),
        event_type="district.ended.v1",
        occurred_at=datetime.now(UTC),
        district=district,
    )
    rows = [
        (
            HOUSEHOLD_CONTACTS,
            partition_of(key, PARTITIONS),
            key,
            identity("contact-forgotten", key),
            "contact.forgotten",
            "",
        )
        for key in households
    ]
    rows.append(
        (FORGOTTEN, partition_of(district, PARTITIONS), key_of(ended), ended.event_id, ended.event_type,
         ended.model_dump_json())
    )  # fmt: skip
    async with _schema(places.admin_url, "ingest") as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO ended_owner (owner, ended_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            district,
            ended.occurred_at,
        )
        await connection.executemany(
            "INSERT INTO outbox (topic, partition, key, event_id, event_type, payload) VALUES ($1, $2, $3, $4, $5, $6)",
            rows,
        )
        await connection.execute("DELETE FROM contact_version WHERE household_key = ANY ($1::uuid[])", households)
        for table, condition in (await _tables(connection, "ingest")).items():
            await connection.execute(f'DELETE FROM "{table}" WHERE {condition}', district)
        for table in ("dead_letter", "position", "stopped_partition", "landing_book", "landing_cut"):
            await connection.execute(
                f"DELETE FROM {table} WHERE topic = ANY ($1::text[])",
                list(landing_topics(district)),
            )
    return len(households)


async def _households(district: str, broker: Broker) -> list[str]:
    standing: dict[bytes | None, bool] = {}

    def take(record: ConsumerRecord) -> None:
        standing[record.key] = f'"{district}"'.encode() in (record.value or b"") and _district(record.value) == district

    async with Logs(broker) as logs:
        await logs.read(await logs.begins(await logs.partitions([HOUSEHOLD_CONTACTS])), take)
    return sorted(key.decode() for key, stands in standing.items() if stands and key is not None)


def _district(value: bytes | None) -> str | None:
    try:
        told = json.loads(value or b"{}")
    except ValueError:
        return None
    return told.get("district") if isinstance(told, dict) else None


async def _remove_topics(district: str, broker: Broker) -> None:
    there = sorted(set(landing_topics(district)) & set(await _topics(broker)))
    if there:
        async with admin(broker) as client:
            await client.delete_topics(there)
    lane, last = TopicPartition(REJECTED, partition_of(district, PARTITIONS)), -1

    def take(record: ConsumerRecord) -> None:
        nonlocal last
        if record.key == district.encode():
            last = record.offset

    async with Logs(broker) as logs:
        await logs.read(await logs.begins([lane]), take)
    if last >= 0:
        await cut_logs(broker, {lane: last + 1})


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _printed(certificate: Mapping[str, Any]) -> str:
    erased = "\n".join(f"  {rows:12,}  {name}" for name, rows in sorted(certificate["erased"].items()))
    return f"""CERTIFICATE OF ERASURE

District        {certificate["district"]}
Erased          {certificate["erased_at"]}
Export          {certificate["export"]["file"]}, of {certificate["export"]["exported_at"]}
                SHA-256 {certificate["export"]["sha256"]}

Erased, in rows and records:
{erased}
  {certificate["contact_records_taken_back"]:12,}  records of contact data taken back on their topic
Topics removed: {", ".join(certificate["topics_removed"])}
Left, counted afterwards in every table: 0

What stays: {certificate["stays"]}

Signed ______________________________    Date ______________
"""


_HOW = "BLAKE2b keyed with the secret, 16 bytes, person 'student' (a state number as 'state:9001') or 'household'"
_STAYS_SAID = (
    "numbers under pseudonyms in events between services, which the erased secret alone could trace to anybody; the"
    " state's published tables, none of fewer than six; backups, for 30 days at most, of which none brings this back."
)
