"""The file that names the districts which may send, with their secrets: ingest alone is told where it lies."""

import json
import re
from hashlib import sha256
from pathlib import Path

import structlog

from contracts.events import DISTRICT_PATTERN
from services.ingest.rules.pseudonyms import Districts, Pseudonyms

log = structlog.get_logger(__name__)

_DISTRICT_CODE = re.compile(DISTRICT_PATTERN)


class DistrictsFileUnreadable(Exception):
    """The districts file is missing or wrong: start the service with LEAP_DISTRICTS_FILE naming a valid one."""


class DistrictsFile:
    """The districts as the file names them, read again when it has changed: a new one needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = self._stamp()
        self.districts = load_districts(path)

    def current(self) -> Districts:
        """Give the districts as the file names them now; as before where it can't be read any more."""
        stamp = self._stamp()
        if stamp != self._read_at:
            self._read_at = stamp
            try:
                self.districts = load_districts(self._path)
            except DistrictsFileUnreadable as error:
                log.error("the districts file can't be read: the districts of before stay", problem=str(error))
        return self.districts

    def names(self, topic: str) -> bool:
        """Tell whether the topic is one of a district's landing topics, by what the file says now."""
        return topic in self.districts.by_landing_topic or topic in self.current().by_landing_topic

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


def load_districts(path: Path) -> Districts:
    """Read the districts file: `{"state_secret": hex, "districts": {code: {"secret", "token", "name"}}}`.

    Raises DistrictsFileUnreadable, which names the district and the field but never a secret.
    """
    try:
        written = json.loads(path.read_text())
        state_secret = _secret(written["state_secret"], "state_secret")
        declared: dict[str, dict[str, str]] = dict(written["districts"])
    except OSError as error:
        raise DistrictsFileUnreadable(f"LEAP_DISTRICTS_FILE can't be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DistrictsFileUnreadable("LEAP_DISTRICTS_FILE must hold state_secret and districts as JSON") from error

    pseudonyms: dict[str, Pseudonyms] = {}
    token_digests: dict[str, bytes] = {}
    for district, entry in declared.items():
        if not _DISTRICT_CODE.fullmatch(district):
            raise DistrictsFileUnreadable("a district's code must be kebab-case, at most 48 characters")
        if not isinstance(entry, dict) or not isinstance(entry.get("token"), str) or len(entry["token"]) < 16:
            raise DistrictsFileUnreadable(f"district {district}: a token of at least 16 characters is needed")
        secret = _secret(entry.get("secret"), f"district {district}: secret")
        pseudonyms[district] = Pseudonyms(secret=secret, state_secret=state_secret)
        token_digests[district] = sha256(entry["token"].encode()).digest()
    if len(set(token_digests.values())) != len(token_digests):
        raise DistrictsFileUnreadable("two districts share a token: give each its own")
    return Districts(pseudonyms=pseudonyms, token_digests=token_digests)


def _secret(written: object, name: str) -> bytes:
    try:
        secret = bytes.fromhex(str(written))
    except ValueError:
        secret = b""
    if not 16 <= len(secret) <= 64:
        raise DistrictsFileUnreadable(f"{name} must be 16 to 64 bytes in hexadecimal")
    return secret
