"""A browser without a screen and a program, both at the little service."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from services.runtime.web.sign_in import Admission
from tests import people
from tests.delivering import served
from tests.sessions import SessionsInMemory
from tests.unit.runtime import little

NO_DATABASE: Any = None


@pytest.fixture
def kept() -> SessionsInMemory:
    """Where the little service keeps its sessions."""
    return SessionsInMemory()


@pytest.fixture
def app(tmp_path: Path, kept: SessionsInMemory) -> FastAPI:
    """The little service, as its process would serve it."""
    admission = Admission(people=people.people(tmp_path), secret=people.SESSION_SECRET, kept=kept)
    return served(little.service, NO_DATABASE, admission)


@pytest_asyncio.fixture
async def program(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A program that has said nothing yet."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://leap.test") as client:
        yield client


@pytest_asyncio.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that nobody has signed in with."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://leap.test", headers=people.SAME_ORIGIN
    ) as client:
        yield client
