"""The Java client with a district's own file, a broker that somebody else runs behind TLS, and a folder of before."""

import asyncio
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.broker_users import BROKER
from contracts.services import SERVICES
from deploy.commands import districts, kafka, state
from deploy.containers import prepare
from deploy.kafka.layout import compare, lay_out, opens
from deploy.local.broker import door_of, java, kafka_jars, start_kafka
from deploy.local.doors import Door, client_properties, given_door
from deploy.local.services import kafka_environment
from services.runtime.broker_access import Access, client_options
from services.runtime.settings import Settings
from tests.component.kafka.asking import DATABASE, DISTRICTS, Encrypted

ANY_PRODUCER = Path(__file__).parents[1] / "runtime" / "AnyProducer.java"
LANDING = TopicPartition("attendance-in-avon", 0)


async def values(door: Door, where: TopicPartition) -> list[bytes]:
    consumer = AIOKafkaConsumer(**client_options(door.administrator), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([where])
        found: list[bytes] = []
        while len(found) < (await consumer.end_offsets([where]))[where]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [each.value for each in records]
        return found
    finally:
        await consumer.stop()


async def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False)


def _open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.skipif(shutil.which("javac") is None, reason="javac compiles the client")
async def test_a_java_client_sends_with_the_file_that_the_district_was_given(door: Door, tmp_path: Path) -> None:
    await _run("javac", "-cp", f"{kafka_jars()}/*", "-d", str(tmp_path), str(ANY_PRODUCER))
    given = [line for line in client_properties(door, "avon").splitlines() if "=" in line and line[0] != "#"]
    options = [line for line in given if not line.startswith("bootstrap.servers=")]
    (servers,) = set(given) - set(options)

    async def sends(topic: str) -> subprocess.CompletedProcess[str]:
        words = [java(), "-XX:-UsePerfData", "-cp", f"{tmp_path}:{kafka_jars()}/*", "AnyProducer"]
        words += [servers.partition("=")[2], topic, "java", "5", "plain", *options, "max.block.ms=5000"]
        return await _run(*words)

    before = len(await values(door, LANDING))
    assert (await sends(LANDING.topic)).returncode == 0
    assert len(await values(door, LANDING)) == before + 5
    refused = await sends("roster-in-windsor")
    assert "uthoriz" in refused.stderr + refused.stdout


def test_what_the_broker_keeps_and_every_password_is_nobody_else_s(door: Door) -> None:
    assert door.passwords is not None
    folder = door.passwords.parent / "broker"
    assert _open_to_others(folder) + _open_to_others(door.passwords) == []
    assert any(path.suffix == ".log" and path.parent.parent.name == "records" for path in folder.rglob("*"))


async def test_a_given_broker_behind_tls_is_laid_out_and_used(encrypted: Encrypted, tmp_path: Path) -> None:
    given, keys = encrypted
    environment = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_USER": BROKER,
        "KAFKA_PASSWORD_FILE": str(keys / BROKER),
        "KAFKA_CA_FILE": str(keys / "ca.pem"),
        "KAFKA_REPLICATION_FACTOR": "1",
    }
    door = given_door(given.address, tmp_path / "users", environment)
    # Of a broker that others run the administrator is in SCRAM too; this one has only itself yet.
    door = replace(door, administrator=replace(door.administrator, mechanism="PLAIN"))
    assert (await lay_out(door, DISTRICTS, database=DATABASE)).lines() == []
    assert (await compare(door, DISTRICTS, database=DATABASE)).lines() == []

    told = kafka_environment(door.access("flagging")) | {"LEAP_DATABASE_URL": "postgresql://"}
    assert Settings.from_environment(told).kafka == door.access("flagging")
    assert await opens(door.access("flagging"))
    assert not await opens(replace(door.access("flagging"), ca_file=None)), "an authority that nobody trusts"
    assert not await opens(replace(door.access("flagging"), protocol="SASL_PLAINTEXT"))

    producer = AIOKafkaProducer(**client_options(door.district("avon")), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(LANDING.topic, b"encrypted", partition=0)
    finally:
        await producer.stop()
    assert (await values(door, LANDING))[-1] == b"encrypted"


@pytest.fixture
async def of_before(tmp_path: Path) -> Path:
    """A folder that an open broker of the release before left, one record in it, readable by everybody."""
    folder = tmp_path / "broker"
    part = start_kafka(folder, passwords=None)
    try:
        producer = AIOKafkaProducer(bootstrap_servers=part.address)
        await lay_out(door_of(part, None), DISTRICTS, database=DATABASE)
        await producer.start()
        await producer.send_and_wait(LANDING.topic, b"of before", partition=0)
        await producer.stop()
    finally:
        part.stop()
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055)
    return folder


async def test_a_folder_of_the_release_before_comes_up_closed_with_its_records(of_before: Path) -> None:
    users = of_before.parent / "users"
    part = start_kafka(of_before, passwords=users)
    try:
        door = door_of(part, users)
        assert (await lay_out(door, DISTRICTS, database=DATABASE)).lines() == []
        assert await values(door, LANDING) == [b"of before"]
        assert not await opens(replace(door.administrator, protocol="PLAINTEXT"))
        assert _open_to_others(of_before) == []
    finally:
        part.stop()


async def test_the_jobs_of_the_containers_leave_everybody_their_own_and_nobody_another_s(
    encrypted: Encrypted, fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, (given, keys) = tmp_path / "run", encrypted
    for name in (*SERVICES, "auditor", "operator", "owners", "people", "districts", "passwords", "senders"):
        (known / name).mkdir(parents=True)
    (known / "broker").symlink_to(keys)
    (tmp_path / ".leap").mkdir()  # a volume
    monkeypatch.setattr(prepare, "KNOWN", known)
    monkeypatch.setattr(state, "checkout", lambda: tmp_path)
    monkeypatch.setenv("LEAP_KAFKA_BOOTSTRAP_SERVERS", given.address)
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("KAFKA_OUTSIDE", "kafka.example.org:9094")
    await asyncio.to_thread(prepare.main)

    passwords = {each: (known / each / prepare.PASSWORD).read_text() for each in (*SERVICES, "auditor")}
    assert len(set(passwords.values())) == len(passwords)
    for name in passwords:
        own = known / name
        access = Access(
            bootstrap_servers=given.address,
            protocol="SASL_SSL",
            user=name,
            password_file=own / prepare.PASSWORD,
            ca_file=own / "ca.pem",
        )
        assert await opens(access), name
    found = state.load()  # the administrator's: everybody's, and the broker's own
    assert found.kafka().user == "leap"
    assert found.broker_door().administrator.user == BROKER
    assert (await compare(found.broker_door(), districts.codes(), database=kafka.database_of(found))).lines() == []
    assert not state.passwords().exists()
    of_districts = {f"district-{each}" for each in districts.codes()}
    assert {file.name for file in (known / "senders").iterdir()} == {"leap", *of_districts}
    assert "kafka.example.org:9094" in kafka.file_for("hartford", known / "passwords").read_text()

    # Whoever only looks finds its own password, and finds that all is as it should be.
    (tmp_path / ".leap").rename(tmp_path / "administrator")
    (tmp_path / ".leap").symlink_to(known / "operator")
    looking = state.load()
    assert {file.name for file in state.passwords().iterdir()} == {"leap"}
    assert looking.broker_door().administrator.user == "leap"
    # What it compares first signs in as itself; of the passwords that it has not, nothing is said.
    assert (await compare(looking.broker_door(), districts.codes(), database=kafka.database_of(looking))).lines() == []
    (tmp_path / ".leap").unlink()
    (tmp_path / "administrator").rename(tmp_path / ".leap")

    before = found.kafka_of_district("hartford").password()
    await asyncio.to_thread(prepare.main, ["rotate", "hartford"])
    assert found.kafka_of_district("hartford").password() != before
    assert await opens(found.kafka_of_district("hartford"))
    assert {each: (known / each / prepare.PASSWORD).read_text() for each in passwords} == passwords
