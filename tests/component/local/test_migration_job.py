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
from deploy.local import provision
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
