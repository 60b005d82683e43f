"""What `leap answer` gathers from the services: all that was planted, and who read it, the answer included."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.commands import http_client
from deploy.commands.answer import ASKED, as_text, gather, parts_of
from deploy.commands.answer_words import FamilyWords
from deploy.commands.why import NobodyFound
from services.runtime.web.sign_in import COMMAND_AGENT
from tests import people
from tests.component.disclosures import planted
from tests.component.disclosures.asking import ADDRESS, AMENDED, NAME, NOTED, PHONE, SAID
from tests.conftest import ServiceDatabase
from tests.zones import HERE


async def test_all_that_is_held_is_gathered_and_the_answer_is_on_record(
    service_database: ServiceDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = {service: await service_database(service) for service in ASKED}
    apps = {
        "scheduling": (await planted.the_desk(pools["scheduling"], tmp_path)).app,
        "visitlog": (await planted.the_visit_log(pools["visitlog"], tmp_path)).app,
        "flagging": (await planted.flagged_children(pools["flagging"])).app,
        "reporting": (await planted.the_reports(pools["reporting"], tmp_path)).app,
    }
    loop = asyncio.get_running_loop()

    async def ask(service: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app=apps[service])
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=dict(headers)) as http:
            return await http.get(path)

    def get(address: str, path: str, headers: Mapping[str, str]) -> Any:
        answer = asyncio.run_coroutine_threadsafe(ask(address, path, headers), loop).result(30)
        if answer.status_code == 404:
            raise http_client.NotThere(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    monkeypatch.setattr(http_client, "get", get)
    headers = people.headers("audit") | {"User-Agent": f"{COMMAND_AGENT}answer"}
    held = await asyncio.to_thread(gather, dict(zip(ASKED, ASKED, strict=True)), str(planted.HOUSEHOLD), headers)
    text = as_text(list(parts_of(held, FamilyWords("en"), zone=HERE, names={})))

    for said in (NAME, PHONE, ADDRESS, SAID, NOTED, AMENDED, "missed 7 of 23 days", "you agreed", "Food, Offered"):
        assert said in text, said
    answering = [each for each in held.readings if each["person"] == "audit"]
    assert {each["service"] for each in answering} == set(ASKED)
    assert {each["door"] for each in answering} == {"command"}
    assert "audit, auditor | name, phones and address, what was said, the private note | to answer the family" in text
    with pytest.raises(NobodyFound):
        await asyncio.to_thread(gather, dict(zip(ASKED, ASKED, strict=True)), planted.NOBODY, headers)
