"""A provider that runs, the table that names it, and somebody who goes there and back with a browser."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.local import free_port
from services.runtime.web.sign_in import Admission
from services.runtime.web.vouching import Vouching
from tests import people
from tests.sessions import SessionsInMemory

CLIENT_SECRET = "a secret between two programs of a test"
_START_SECONDS = 30.0

_TABLE = """
[valley]
title = "The Valley"
issuer = "{issuer}"
client_id = "leap"
client_secret_file = "valley.secret"
scopes = ["hartford", "danbury"]

[valley.groups."desk of danbury"]
role = "scheduler"
scopes = ["danbury"]

[valley.groups."desk of hartford"]
role = "scheduler"
scopes = ["hartford"]

[valley.groups.visitors]
role = "visitor"
scopes = ["hartford"]
"""

MARISOL = {"preferred_username": "M.Vega", "name": "Marisol Vega", "locale": "es-US", "groups": ["desk of hartford"]}


@dataclass
class Running:
    """The provider's process, and what one tells it."""

    address: str
    process: "subprocess.Popen[bytes]"

    def knows(self, subject: str, claims: dict[str, Any]) -> None:
        """Let the provider say this of somebody from now on."""
        httpx.put(f"{self.address}/users/{subject}", json=claims).raise_for_status()

    def deactivates(self, subject: str) -> None:
        """Let none of somebody's tokens be good any more."""
        httpx.post(f"{self.address}/users/{subject}/revoke-tokens").raise_for_status()

    def lies(self, **claims: Any) -> None:
        """Let every id token say this; nothing: the truth again."""
        httpx.put(f"{self.address}/lie", json=claims).raise_for_status()

    def changes_its_key(self) -> None:
        """Let it sign with another key."""
        httpx.post(f"{self.address}/new-key").raise_for_status()

    def asks_who(self, address: str, subject: str) -> str:
        """Answer its page as this person, and give the address that it leads back to."""
        answer = httpx.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


@contextlib.contextmanager
def running_provider(port: int | None = None) -> Iterator[Running]:
    """Run the provider until the block ends."""
    chosen = port or free_port()
    program = [sys.executable, "-W", "ignore", "-m", "tests.provider", str(chosen)]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{chosen}"
    try:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                httpx.get(f"{address}/jwks").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, "the provider ended"
                assert time.monotonic() < until, "the provider did not start"
                time.sleep(0.05)  # a poll with a deadline
        yield Running(address, process)
    finally:
        process.kill()  # also where a test has stopped it
        process.wait()


def table(folder: Path, issuer: str, **replaced: str) -> Path:
    """Write the table of providers that names this one, and the secret beside it."""
    (folder / "valley.secret").write_text(CLIENT_SECRET)
    text = _TABLE.format(issuer=issuer)
    for before, after in replaced.items():
        text = text.replace(before, after)
    file = folder / "providers.toml"
    file.write_text(text)
    return file


def admission(folder: Path, issuer: str, kept: SessionsInMemory | None = None) -> Admission:
    """Let in who has a key, and whom the provider vouches for."""
    vouching = Vouching.load(table(folder, issuer), people.SESSION_SECRET)
    return Admission(people=people.people(folder), secret=people.SESSION_SECRET, vouching=vouching, kept=kept)
