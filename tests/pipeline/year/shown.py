"""What a running system shows: read over HTTP as the people would who work with it, and for sums from its tables."""

import html
import http.client
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import local
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

AT_ONCE = 4
PAGE = 1000


class Line(NamedTuple):
    """A line of the desk's queue: which request, and its sentence as it is read."""

    request: str
    says: str


class NotShown(Exception):
    """A service refused or failed: the address and the status."""


class Door:
    """One service's HTTP, asked by several threads at once, each on its own connection."""

    def __init__(self, address: str, keys: Mapping[str, str]) -> None:
        self._parts, self._keys, self._here = urlsplit(address), keys, local()
        self._open: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Hang up."""
        for each in self._open:
            each.close()

    def page(self, person: str, path: str, accept: str = "text/html") -> str:
        """Read one page as the person."""
        connection = getattr(self._here, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._parts.hostname or "", self._parts.port, timeout=60)
            self._here.connection = connection
            self._open.append(connection)
        connection.request("GET", path, headers={"Accept": accept, "Authorization": f"Bearer {self._keys[person]}"})
        answer = connection.getresponse()
        said = answer.read().decode()
        if answer.status != 200:
            raise NotShown(path, answer.status)
        return str(said)

    def ask(self, person: str, path: str) -> Any:
        """Read one JSON answer as the person."""
        return json.loads(self.page(person, path, "application/json"))

    def ask_all(self, person: str, paths: Iterable[str]) -> list[Any]:
        """Read many answers, a few at a time, in the order of their addresses."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda path: self.ask(person, path), paths))


def requests(desk: Door, district: str) -> list[Any]:
    """Read every request of a district in full, open and closed."""
    person = f"desk-{district}"
    ids: list[str] = []
    for stage in ({}, {"stage": "closed"}):
        after: dict[str, str] = {}
        while True:
            asked = urlencode({"district": district, "limit": PAGE, **stage, **after})
            found = desk.ask(person, f"/v1/requests?{asked}")
            ids += [each["request_id"] for each in found["requests"]]
            if found["next_after"] is None:
                break
            after = {"after": found["next_after"]}
    return desk.ask_all(person, [f"/v1/requests/{each}" for each in ids])


_LINE = re.compile(r'<li class="line[^>]*data-id="([^"]+)".*?<a class="line-why"[^>]*>(.*?)</a>', re.DOTALL)
_MORE = re.compile(r'href="([^"]*[?&;]after=[^"]*)"')


def queue(desk: Door, district: str) -> Iterator[Line]:
    """Read the queue's pages of a district, one after the other, as they stand in the browser."""
    path: str | None = "/queue"
    while path:
        page = desk.page(f"desk-{district}", path)
        for request, said in _LINE.findall(page):
            yield Line(request, _text(said))
        more = _MORE.search(page)
        path = html.unescape(more.group(1)) if more else None


def heading(desk: Door, district: str, request: str) -> str:
    """Read the heading of a request's page: why it is here."""
    page = desk.page(f"desk-{district}", f"/requests/{request}")
    found = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    return _text(found.group(1)) if found else ""


def own_tables(reports: Door, district: str, names: Iterable[str], school: str | None = None) -> dict[str, list[Any]]:
    """Read the lines of a district's own tables, or a school's, as its coordinator; none where nothing is known yet."""
    of_school = "" if school is None else f"/schools/{quote(school, safe='')}"
    person = f"coordinator-{district}"
    tables: dict[str, list[Any]] = {}
    for name in names:
        try:
            tables[name] = reports.ask(person, f"/v1/districts/{district}{of_school}/{name}")["lines"]
        except NotShown as error:
            if error.args[1] != 404:
                raise
            tables[name] = []
    return tables


def _text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The keys that a district's numbers have behind ingest: keyed hashes, which only its secret can make."""

    secret: bytes
    state_secret: bytes

    def student(self, number: str) -> str:
        """Give the key of a number, the state's spelt `state:9001`."""
        return _as_uuid(self.secret, b"student", number)

    def household(self, code: str) -> str:
        """Give the key of a household."""
        return _as_uuid(self.secret, b"household", code)

    def stint(self, code: str) -> str:
        """Give the name of an enrolment, by which those of one entry are ordered."""
        return _as_uuid(self.secret, b"stint", code).replace("-", "")


def pseudonyms_in(districts_file: Path) -> dict[str, Pseudonyms]:
    """Read the secrets of the districts of this machine."""
    written = json.loads(districts_file.read_text())
    state = bytes.fromhex(written["state_secret"])
    return {code: Pseudonyms(bytes.fromhex(each["secret"]), state) for code, each in written["districts"].items()}


def _as_uuid(secret: bytes, kind: bytes, text: str) -> str:
    digits = blake2b(text.encode(), key=secret, digest_size=16, person=kind).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
