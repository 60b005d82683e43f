"""Speaking to the services over HTTP, as a district or a person would."""

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 60


class Refused(Exception):
    """A service answered with an error; the message is what it said."""


class NotThere(Refused):
    """A service answered that there is nothing of this name."""


def get(address: str, path: str, headers: Mapping[str, str] | None = None) -> Any:
    """GET JSON. Raises Refused."""
    return _ask("GET", address, path, headers or {}, None)


def post(address: str, path: str, headers: Mapping[str, str], body: Iterable[bytes], size: int) -> Any:
    """POST a body of this size in bytes, piece by piece, and return the JSON answer. Raises Refused."""
    return _ask("POST", address, path, {**headers, "Content-Length": str(size)}, body)


def post_json(address: str, path: str, headers: Mapping[str, str], value: Any) -> Any:
    """POST a value as JSON and return the JSON answer. Raises Refused."""
    body = json.dumps(value).encode()
    return post(address, path, {**headers, "Content-Type": "application/json"}, [body], len(body))


def put(address: str, path: str, headers: Mapping[str, str], value: Any) -> Any:
    """PUT a value as JSON and return the JSON answer. Raises Refused."""
    body = json.dumps(value).encode()
    described = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return _ask("PUT", address, path, {**headers, **described}, [body])


def _ask(method: str, address: str, path: str, headers: Mapping[str, str], body: Iterable[bytes] | None) -> Any:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        said = answer.read()
    except OSError as error:
        raise Refused(f"{address} does not answer ({error.__class__.__name__}); `leap status` says what runs") from None
    finally:
        connection.close()
    if answer.status >= 400:
        refused = NotThere if answer.status == 404 else Refused
        raise refused(f"{method} {path}: {answer.status} {_message(said)}")
    return json.loads(said) if said else None


def _message(said: bytes) -> str:
    try:
        answer = json.loads(said)
    except ValueError:
        return said[:200].decode(errors="replace")
    return str(answer.get("detail") or answer.get("message") or answer) if isinstance(answer, dict) else str(answer)
