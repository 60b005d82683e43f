"""Who read a name, words, a note or a child's days is on record: of every route that there is, as everybody."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.component.disclosures import planted
from tests.component.disclosures.asking import NOT_ASKED, Asked, Doors, as_document, ask_everything, documented
from tests.conftest import ServiceDatabase

Pool = asyncpg.Pool


async def _doors(service: str, pool: "Pool[asyncpg.Record]", folder: Path) -> Doors:
    made: dict[str, Callable[[], Awaitable[Doors]]] = {
        "scheduling": lambda: planted.the_desk(pool, folder),
        "visitlog": lambda: planted.the_visit_log(pool, folder),
        "flagging": lambda: planted.flagged_children(pool),
        "reporting": lambda: planted.the_reports(pool, folder),
    }
    return await made[service]()


@pytest.mark.parametrize("service", ["scheduling", "visitlog", "flagging", "reporting"])
async def test_what_shows_somebody_is_recorded_and_the_document_says_so(
    service: str, service_database: ServiceDatabase, tmp_path: Path
) -> None:
    doors = await _doors(service, await service_database(service), tmp_path)
    asked = await ask_everything(doors)

    assert asked.complaints == []
    assert asked.found > 0 or service == "reporting"
    assert asked.recorded == documented(service), as_document(service, asked.recorded)


@pytest.mark.parametrize(
    ("service", "module", "route"),
    [
        ("scheduling", "services.scheduling.pages.queue", "POST /search"),
        ("scheduling", "services.scheduling.handlers.pairs", "GET /day"),
        ("visitlog", "services.visitlog.handlers.disclosing", "GET /v1/visit-logs/{client_id}"),
        ("flagging", "services.flagging.api", "GET /v1/students/{student_key}/absence"),
    ],
)
async def test_a_forgotten_record_is_found(
    service: str, module: str, route: str, service_database: ServiceDatabase, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async def forget(*_: Any, **__: Any) -> None: ...

    doors = await _doors(service, await service_database(service), tmp_path)
    monkeypatch.setattr(f"{module}.disclose", forget)
    asked = await ask_everything(doors, roles=("carl", "audit"))
    assert any(complaint.startswith(f"{route} as ") for complaint in asked.complaints), asked.complaints


def test_what_is_not_asked_says_why() -> None:
    assert all(NOT_ASKED.values())
    assert Asked().complaints == []
