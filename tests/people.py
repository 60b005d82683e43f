"""The people of every test: who they are, what they may see, and how they sign in."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from services.runtime.web.keys import key_from
from services.runtime.web.people import People

HARTFORD, DANBURY = "hartford", "danbury"
SECRET = "5e" * 32
SESSION_SECRET = bytes.fromhex("7a" * 32)

_HERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "ana": ("scheduler", (HARTFORD,)),
    "ben": ("scheduler", (HARTFORD,)),
    "bea": ("scheduler", (DANBURY,)),
    "marisol": ("visitor", (HARTFORD,)),
    "omar": ("visitor", (HARTFORD,)),
    "dora": ("visitor", (DANBURY,)),
    "carl": ("coordinator", (HARTFORD,)),
    "dana": ("district", (HARTFORD,)),
    "rosa": ("resc", (HARTFORD, DANBURY)),
    "state": ("state", ("*",)),
    "audit": ("auditor", ("*",)),
    "ops": ("operations", ("*",)),
}


def key_of(name: str) -> str:
    """The key by which the person signs in: of the form of every key, and the same in every test."""
    return key_from(hashlib.sha256(name.encode()).digest()[:15])


def declared(name: str, role: str, scopes: tuple[str, ...], language: str = "en") -> dict[str, Any]:
    """One person as the people file declares them."""
    return {
        "display_name": f"{name.capitalize()} Example",
        "role": role,
        "scopes": list(scopes),
        "language": language,
        "key_sha256": hashlib.sha256(key_of(name).encode()).hexdigest(),
    }


PEOPLE: dict[str, dict[str, Any]] = {name: declared(name, role, scopes) for name, (role, scopes) in _HERE.items()}


def people_file(folder: Path, **more: dict[str, Any]) -> Path:
    """The file to name in LEAP_PEOPLE_FILE, with `more` people as `declared` makes them.

    It is as the release before has it, with one secret for all services: both can read it.
    """
    path = folder / "people.json"
    path.write_text(json.dumps({"secret": SECRET, "people": PEOPLE | more}))
    return path


def session_secret_file(folder: Path) -> Path:
    """The file to name in LEAP_SESSION_SECRET_FILE."""
    path = folder / "session-secret"
    path.write_text(SESSION_SECRET.hex())
    return path


def people(folder: Path, **more: dict[str, Any]) -> People:
    """The people as a service has them."""
    return People.load(people_file(folder, **more))


def everybody() -> People:
    """The people as a service has them, where a test has no folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return people(Path(folder))


def headers(name: str) -> dict[str, str]:
    """What a program sends that acts for the person."""
    return {"Authorization": f"Bearer {key_of(name)}"}


def sign_in(name: str) -> dict[str, str]:
    """The sign-in form as the person fills it in."""
    return {"name": name, "key": key_of(name), "next": "/"}


SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
"""What a browser says when a form of our own page is sent."""
