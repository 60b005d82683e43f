"""What a restore puts aside, and for whom it is the way back: tries that fail, are cut off, or are of another year."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local import provision
from deploy.local.database import roles_of
from deploy.local.dumps import dump_schema, go_back, put_aside_last, restore_schema
from deploy.local.parts import PartFailed

BOTH = ["counting", "telling"]


class Schemas:
    """Two schemas with a table each, and a backup of both."""

    def __init__(self, admin_url: str, folder: Path) -> None:
        self.admin_url, self.folder = admin_url, folder

    async def run(self, statement: str) -> Any:
        admin = await asyncpg.connect(self.admin_url)
        try:
            return await admin.fetchval(statement)
        finally:
            await admin.close()

    async def restore(self, schema: str, *, at: str, file: Path | None = None) -> None:
        file = file or self.folder / f"{schema}.dump"
        await restore_schema(self.admin_url, schema, file, restored_at=at)

    async def says(self, schema: str) -> str | None:
        """What stands in the schema's table, if there is one."""
        if await self.run(f"SELECT to_regclass('{schema}.word') IS NULL"):
            return None
        return str(await self.run(f"SELECT said FROM {schema}.word"))


@pytest_asyncio.fixture
async def schemas(fresh_database: str, tmp_path: Path) -> Schemas:
    await provision(fresh_database, BOTH)
    here = Schemas(fresh_database, tmp_path)
    for schema in BOTH:
        await here.run(f"CREATE TABLE {schema}.word AS SELECT 'backup' AS said")
        owner = roles_of(schema, await here.run("SELECT current_database()")).owner
        await here.run(f"ALTER TABLE {schema}.word OWNER TO {owner}")
        dump_schema(fresh_database, schema, tmp_path / f"{schema}.dump")
        await here.run(f"UPDATE {schema}.word SET said = 'today'")
    return here


async def test_the_way_back_is_of_those_whom_the_last_restore_put_back(schemas: Schemas) -> None:
    for schema in BOTH:
        await schemas.restore(schema, at="2025")
        await schemas.run(f"UPDATE {schema}.word SET said = 'a year later'")
    assert await put_aside_last(schemas.admin_url, BOTH) == BOTH
    await schemas.restore("counting", at="2026")
    # What the other's former tables hold is a year old: it is nobody's way back.
    assert await put_aside_last(schemas.admin_url, BOTH) == ["counting"]
    await go_back(schemas.admin_url, "counting")
    assert (await schemas.says("counting"), await schemas.says("telling")) == ("a year later", "a year later")
    with pytest.raises(PartFailed, match="nothing was restored"):
        await go_back(schemas.admin_url, "counting")


async def test_a_restore_that_fails_leaves_what_stood_there(schemas: Schemas, tmp_path: Path) -> None:
    (tmp_path / "broken.dump").write_bytes(b"no archive")
    with pytest.raises(PartFailed):
        await schemas.restore("counting", at="2026", file=tmp_path / "broken.dump")
    assert await schemas.says("counting") == "today"


async def test_a_restore_that_fails_where_nothing_stood_brings_no_older_tables_back(
    schemas: Schemas, tmp_path: Path
) -> None:
    await schemas.restore("counting", at="2025")
    await schemas.run("DROP SCHEMA counting CASCADE")  # a disk, or an operator
    (tmp_path / "broken.dump").write_bytes(b"no archive")
    with pytest.raises(PartFailed):
        await schemas.restore("counting", at="2026", file=tmp_path / "broken.dump")
    assert await schemas.says("counting") is None
    await schemas.restore("counting", at="2026")
    assert await schemas.says("counting") == "backup"
    assert await put_aside_last(schemas.admin_url, BOTH) == [], "what is kept there is of the year before"


async def test_a_restore_that_was_cut_off_and_done_again_leads_back_to_what_stood_before_both(
    schemas: Schemas,
) -> None:
    await schemas.restore("counting", at="2026-11-29")
    # As it stands in the middle: the former tables put aside, and nothing put back yet.
    await schemas.run("DROP TABLE counting.word")
    await schemas.run("COMMENT ON SCHEMA counting IS 'restore begun 2026-11-29'")
    for schema in BOTH:
        await schemas.restore(schema, at="2026-11-30")
    assert await schemas.says("counting") == "backup"
    assert await put_aside_last(schemas.admin_url, BOTH) == BOTH
    await go_back(schemas.admin_url, "counting")
    assert await schemas.says("counting") == "today"


async def test_what_the_release_before_put_aside_is_still_the_way_back(schemas: Schemas) -> None:
    await schemas.restore("counting", at="2026")
    for schema in ("counting", "counting_before_restore"):
        await schemas.run(f"COMMENT ON SCHEMA {schema} IS NULL")
    assert await put_aside_last(schemas.admin_url, BOTH) == ["counting"]
