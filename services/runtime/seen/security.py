"""What happens at the doors, as lines for whoever watches over them: never a name, an address or a key in the clear.

Who it was stands there as a keyed hash, the same for the same person as long as the service's secret is: with the
secret and a list of names a line can be led back to somebody, and by nobody else.
"""

import hashlib
import hmac
import secrets
from typing import Literal

import structlog

from services.runtime.seen import telemetry

Happened = Literal[
    "signed_in",
    "signed_out",
    "wrong_key",
    "too_many_guesses",
    "session_ended",
    "not_allowed",
    "provider_refused",
    "provider_away",
]

_SENTENCES: dict[Happened, str] = {
    "signed_in": "somebody signed in",
    "signed_out": "somebody signed out",
    "wrong_key": "a sign-in was refused: name and key don't go together",
    "too_many_guesses": "a sign-in was refused: too many wrong keys from one address",
    "session_ended": "a session was ended: its person may no longer come in",
    "not_allowed": "a request was refused: not within this role",
    "provider_refused": "a sign-in was refused: what the provider sent does not do",
    "provider_away": "a sign-in could not be checked: the provider does not answer",
}
_REFUSALS = frozenset(_SENTENCES) - {"signed_in", "signed_out"}


class _Key:
    value = secrets.token_bytes(32)


def use(secret: bytes) -> None:
    """Take the service's secret for the names in the log; without it a name has another hash after each start."""
    _Key.value = hashlib.blake2b(b"names in the log", key=secret[:64]).digest()


def code_of(name: str, secret: bytes | None = None) -> str:
    """Give what stands in the log for a name, an address, or whoever has the secret."""
    key = _Key.value if secret is None else hashlib.blake2b(b"names in the log", key=secret[:64]).digest()
    return hmac.new(key, name.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:12]


def tell(happened: Happened, *, who: str = "", role: str = "", way: str = "", origin: str = "", why: str = "") -> None:
    """Say and count what happened. `who` is a name and `origin` an address: their hashes are said."""
    telemetry.SECURITY.labels(happened).inc()
    fields = {
        "who": code_of(who) if who else "",
        "role": role,
        "way": way,
        "origin": code_of(origin) if origin else "",
        "why": why,
    }
    log = structlog.get_logger(__name__)  # seldom, so that whoever listens for these lines hears all of them
    say = log.warning if happened in _REFUSALS else log.info
    say(_SENTENCES[happened], happened=happened, **{name: value for name, value in fields.items() if value})
