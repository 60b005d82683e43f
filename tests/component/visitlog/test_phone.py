"""What makes the pages an application on a phone."""

import base64
import re

from services.runtime.roles import enter_for_people
from services.visitlog.store.phone_keys import KEY_BYTES
from tests.component.visitlog.conftest import VisitLog
from tests.component.visitlog.test_pages import VISIT, filled, scheduled


async def test_the_worker_keeps_every_file_it_names_and_is_never_kept_itself(world: VisitLog) -> None:
    browser = world.browser()
    worker = await browser.get("/service-worker.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"
    shell = re.search(r"const SHELL = (\[.*\]);", worker.text)
    assert shell is not None
    for address in re.findall(r'"([^"]+)"', shell[1]):
        assert (await browser.get(address)).status_code == 200, address


async def test_the_manifest_speaks_the_readers_language_and_asks_nobody_to_sign_in(world: VisitLog) -> None:
    browser = world.browser()
    browser.headers["Accept-Language"] = "es"
    manifest = (await browser.get("/manifest.webmanifest")).json()
    assert (manifest["lang"], manifest["short_name"]) == ("es", "Registro de visitas")
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
    assert (await browser.get(manifest["icons"][0]["src"])).status_code == 200
    offline = await browser.get("/offline")
    assert offline.status_code == 200
    assert "Sin conexión" in offline.text


async def test_a_key_is_handed_to_its_own_person_and_says_whose_it_is(world: VisitLog) -> None:
    marisol, omar = await world.signed_in("marisol"), await world.signed_in("omar")
    first, again, other = [await browser.get("/phone-key") for browser in (marisol, marisol, omar)]
    assert (first.json()["person"], other.json()["person"]) == ("marisol", "omar")
    assert first.json()["key"] == again.json()["key"] != other.json()["key"]
    assert len(base64.b64decode(first.json()["key"])) == KEY_BYTES
    assert first.headers["cache-control"] == "no-store"


async def test_a_request_sees_no_key_but_its_persons_whatever_it_asks_for(world: VisitLog) -> None:
    for name in ("marisol", "omar"):
        assert (await (await world.signed_in(name)).get("/phone-key")).status_code == 200
    async with world.pool.acquire() as connection:
        for named, seen in (("omar", ["omar"]), ("nobody", []), ("", [])):
            async with connection.transaction():
                await enter_for_people(connection, "*")
                await connection.execute("SELECT set_config('leap.person', $1, true)", named)
                rows = await connection.fetch("SELECT person FROM phone_key")
            assert [row["person"] for row in rows] == seen
        async with connection.transaction():
            await enter_for_people(connection, "*")
            assert await connection.fetch("SELECT person FROM phone_key") == []


async def test_a_form_that_somebody_else_opened_is_not_written_under_this_name(world: VisitLog) -> None:
    await world.deliver("home-visits", scheduled())
    address = f"/visits/{VISIT}/logs/01980000-0000-7000-8000-000000000001"
    browser = await world.signed_in("omar")
    outbox = {"Accept": "application/problem+json"}
    refused = await browser.put(address, data=filled(written_by="marisol"), headers=outbox)
    assert (refused.status_code, await world.pool.fetchval("SELECT count(*) FROM visit_log")) == (403, 0)
    assert "somebody else began this log" in refused.json()["detail"]
    assert (await browser.put(address, data=filled(written_by="omar"), headers=outbox)).status_code == 201
