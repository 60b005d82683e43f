"""What makes the pages an application on a phone."""

import re

from tests.component.visitlog.conftest import VisitLog


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
