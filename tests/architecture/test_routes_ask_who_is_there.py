"""Every route about anybody asks who is there; the few that don't are named here with their reason."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from contracts.access import Access, Role, Scope
from contracts.services import SERVICES
from services.runtime.service import Service
from services.runtime.web.application import routes_by_person
from tests import people
from tests.architecture.checks import ROOT
from tests.delivering import served

NO_DATABASE: Any = None

# The runtime's own: what leads to signing in. What machines ask is on another port.
_OF_THE_RUNTIME = {
    "GET /sign-in/with/{provider}", "GET /sign-in/back", "GET /sign-out/with/{provider}",
    "GET /sign-in", "POST /sign-in", "POST /sign-out", "POST /language", "GET /static/{path:path}",
}  # fmt: skip

_OPEN = {
    # A district sends, and asks after what it sent, with its own token.
    "ingest": {
        "POST /v1/districts/{district}/attendance",
        "POST /v1/districts/{district}/roster",
        "GET /v1/receipts/{receipt}",
    },
    # The phone's page is installed: its script, its manifest and its empty page are the same for everybody.
    "visitlog": {"GET /service-worker.js", "GET /manifest.webmanifest", "GET /offline"},
}


@pytest.fixture
def districts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ingest alone is told."""
    path = tmp_path / "districts.json"
    declared = {"hartford": {"secret": "5e" * 32, "token": "a token for tests only", "name": "Hartford"}}
    path.write_text(json.dumps({"state_secret": "5e" * 32, "districts": declared}))
    monkeypatch.setenv("LEAP_DISTRICTS_FILE", str(path))
    monkeypatch.setenv("LEAP_KAFKA_BOOTSTRAP_SERVERS", "none")
    monkeypatch.setenv("LEAP_DATABASE_URL", "none")
    return path


def application_of(name: str) -> FastAPI:
    """Make the service's application, with its routes and without anything behind them."""
    service: Service = importlib.import_module(f"services.{name}.app").service
    return served(service, NO_DATABASE, people.everybody())


@pytest.mark.usefixtures("districts_file")
@pytest.mark.parametrize("name", SERVICES)
def test_every_route_about_anybody_asks_who_is_there(name: str) -> None:
    named = routes_by_person(application_of(name))
    assert named[False] - _OF_THE_RUNTIME - _OPEN.get(name, set()) == set()
    assert named[True], "and there are such routes"


def test_no_service_takes_a_header_s_word_for_who_acts() -> None:
    sources = [path for path in (ROOT / "services").rglob("*.py") if "leap-actor" in path.read_text().lower()]
    assert sources == []


def test_a_route_that_asks_nobody_is_found() -> None:
    def routes(_: object) -> APIRouter:
        router = APIRouter(prefix="/v1")
        router.add_api_route("/students", lambda: None)
        return router

    declared: Access = {"GET /v1/students": {Role.ANYBODY: Scope.NOTHING}}
    open_door = Service(name="careless", migrations=ROOT, routes=routes, access=declared)
    named = routes_by_person(served(open_door, NO_DATABASE, people.everybody()))
    assert named[False] - _OF_THE_RUNTIME == {"GET /v1/students"}
