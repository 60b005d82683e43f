"""The jobs around the services in containers: every schema is brought up, and one that can not be is named."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from contracts.services import SERVICES
from deploy.containers.prepare import OWNERS
from deploy.local import database, provision, provision_onlooker
from deploy.local.database import part_owners
from services.runtime.revision import known_in, standing

ROOT = Path(__file__).parents[3]
_JOB = """
import sys
from pathlib import Path
from deploy.containers.migrate import main
sys.exit(main(sys.argv[1:2], Path(sys.argv[2])))
"""


async def run(stage: str, known: Path) -> tuple[int, str]:
    """Run the job with logins that lie elsewhere; its exit code, and what it said."""
    command = [sys.executable, "-c", _JOB, stage, str(known)]
    ran = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


async def test_the_jobs_bring_every_schema_up_and_go_on_past_one_that_can_not_be(
    fresh_database: str, tmp_path: Path
) -> None:
    urls = await provision(fresh_database, SERVICES)
    onlooker = await provision_onlooker(fresh_database)
    # As a release made it whose services owned their tables.
    connection: Any = await asyncpg.connect(urls["ingest"])
    await connection.execute("CREATE TABLE migration (name text PRIMARY KEY, digest text NOT NULL)")
    await connection.execute("INSERT INTO migration VALUES ('ingest/0099_post_less.sql', '')")
    await connection.close()
    owners = await part_owners(fresh_database, SERVICES)
    (tmp_path / OWNERS).mkdir()
    for service, url in owners.items():
        (tmp_path / OWNERS / service).write_text(url)

    code, said = await run("pre", tmp_path)
    assert code == 1
    assert "ingest/0099_post_less.sql, which this release does not know" in said
    assert all(url not in said for url in owners.values())

    connection = await asyncpg.connect(owners["ingest"])
    await connection.execute("DROP TABLE migration")
    await connection.close()
    assert (await run("pre", tmp_path))[0] == 0
    assert (await run("post", tmp_path))[0] == 0
    for service, url in urls.items():
        connection = await asyncpg.connect(url)
        stands = await standing(connection, known_in(ROOT / "services" / service / "migrations"))
        assert (stands.lacking, stands.later) == ((), ())
        # The service has rows, and neither tables nor a way to them.
        for refused in ("DROP TABLE migration", f"SET ROLE {urlsplit(owners[service]).username}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(refused)
        await connection.close()
    await _sees_how_far_they_are_and_nothing_else(onlooker)


async def _sees_how_far_they_are_and_nothing_else(onlooker: str) -> None:
    connection: Any = await asyncpg.connect(onlooker)
    for service in SERVICES:
        for seen in ("position", "stopped_partition"):
            assert await connection.fetch(f"SELECT * FROM {service}.{seen}") == []
        assert await connection.fetchval(f"SELECT count(*) FROM {service}.outbox") == 0
        assert await connection.fetch(f"SELECT topic, count(*) FROM {service}.dead_letter GROUP BY topic") == []
        for hidden in ("SELECT payload FROM {}.outbox", "SELECT value FROM {}.dead_letter", "DELETE FROM {}.position"):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                await connection.execute(hidden.format(service))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT * FROM scheduling.household_contact")
    await connection.close()


async def test_a_service_that_leaks_connections_leaves_the_others_theirs(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MOST_CONNECTIONS", 2)
    urls = await provision(fresh_database, ["ingest", "flagging"])
    held = [await asyncpg.connect(urls["ingest"]) for _ in range(2)]
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await asyncpg.connect(urls["ingest"])
    held.append(await asyncpg.connect(urls["flagging"]))
    for connection in held:
        await connection.close()
