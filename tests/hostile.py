"""Everything that could be sent to a service's routes, right and wrong: none may break it or be taken without a key."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import requests
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode

NASTY = (
    "<script>alert(1)</script>",
    "'; DROP TABLE request; --",
    "../../etc/passwd",
    "\u202egnirts",
    "%00",
    "a" * 5000,
)


@asynccontextmanager
async def behind_a_socket(app: FastAPI) -> AsyncIterator[str]:
    """The application's address while it is served."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def break_every_route(
    app: FastAPI, *, headers: Mapping[str, str], examples: int = 15, paths: Mapping[str, Any] | None = None
) -> list[str]:
    """This will send what fits each route's own description, and what does not, and return what went wrong.

    Wrong is: an answer of 500 and above, an answer without a key other than 401, HTML or what was sent in a refusal.
    `paths` are path parameters to use instead of made-up ones, so that something is there to be hurt.
    """
    async with behind_a_socket(app) as address:
        return await asyncio.to_thread(_break, app, address, dict(headers), examples, dict(paths or {}))


def _break(app: FastAPI, address: str, headers: dict[str, str], examples: int, paths: dict[str, Any]) -> list[str]:
    schema = schemathesis.openapi.from_dict(app.openapi())
    problems: list[str] = []
    with requests.Session() as session:
        # A failure closes its connection: none is used again.
        session.headers["Connection"] = "close"
        for found in schema.get_all_operations():
            operation: APIOperation[Any, Any, Any, Any] = found.ok()  # type: ignore[union-attr]
            own = {key: value for key, value in paths.items() if "{" + key + "}" in operation.path}
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                problems += _failures(session, address, operation, mode, headers, own, examples)
            problems += _nasty(session, address, operation.method, operation.path, headers, own)
            problems += _without_a_key(session, address, operation.method, operation.path, own)
    return list(dict.fromkeys(problems))


def _failures(
    session: requests.Session,
    address: str,
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    headers: dict[str, str],
    own: dict[str, Any],
    examples: int,
) -> list[str]:
    problems: list[str] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case[Any]) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **own}
        case.headers.pop("Authorization", None)
        response = case.call(base_url=address, session=session, headers=headers, timeout=30)
        if response.status_code >= 500:
            problems.append(f"{operation.method.upper()} {operation.path}: {response.status_code}")

    send()
    return problems


def _nasty(
    session: requests.Session, address: str, method: str, path: str, headers: dict[str, str], own: dict[str, Any]
) -> list[str]:
    problems = []
    for word in NASTY:
        body: Any = {"version": 1, "answer": word, "reason": word, "because": word, "visitor_id": word}
        response = session.request(
            method, address + _filled(path, own), json=body, params={"district": word}, headers=headers, timeout=30
        )
        refused = response.status_code >= 400
        if response.status_code >= 500 or (refused and word[:40] in response.text):
            problems.append(f"{method.upper()} {path}: {response.status_code} to {word[:20]!r}")
    return problems


def _without_a_key(session: requests.Session, address: str, method: str, path: str, own: dict[str, Any]) -> list[str]:
    if not path.startswith("/v1/"):
        return []
    response = session.request(method, address + _filled(path, own), json={"version": 1}, timeout=30)
    return [] if response.status_code == 401 else [f"{method.upper()} {path}: {response.status_code} without a key"]


def _filled(path: str, own: dict[str, Any]) -> str:
    unknown = "00000000-0000-4000-8000-000000000000"
    return "/".join(str(own.get(part[1:-1], unknown)) if part.startswith("{") else part for part in path.split("/"))
