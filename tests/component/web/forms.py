"""A reader of pages without a browser: the links and forms that stand on one, and the values nobody should send."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

LONG = "x" * 70_000
SCRIPT = "<script>alert('leap')</script>"
HOSTILE = (
    "",
    LONG,
    SCRIPT,
    "\"'><img src=x onerror=alert('leap')>",
    "'; DROP TABLE request; --",
    "danbury",
    "00000000-0000-0000-0000-000000000000",
    "a\x00b",
    "9" * 40,
    "-1",
    "2026-02-30",
    "0001-01-01",
    "9999-12-31T23:59:59-23:59",
    "../../etc/passwd",
    "%s%n{{7*7}}${7*7}",
    "\u202eevil\u2066",
    "😀" * 300,
    "NaN",
)


@dataclass
class Form:
    """A form as it stands on a page: where it leads and what it would send untouched."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in named and "download" not in named:
            self.links.append(urljoin(self.address, named["href"]).partition("#")[0])
        if tag == "form":
            action = urljoin(self.address, named.get("action") or self.address)
            self._open = Form(action, named.get("method", "get").lower())
            self.forms.append(self._open)
        if self._open is None:
            return
        if "formaction" in named:
            self.forms.append(Form(urljoin(self.address, named["formaction"]), "post", self._open.fields))
        if tag in ("input", "select", "textarea", "button") and named.get("name"):
            kept = self._open.fields.setdefault(named["name"], named.get("value", ""))
            if kept == "" and "checked" in named:
                self._open.fields[named["name"]] = named.get("value", "on")
            if named.get("type") != "hidden":
                self._open.shown.add(named["name"])
        self._select = named.get("name") if tag == "select" else self._select
        if tag == "option" and self._select and ("selected" in named or not self._open.fields[self._select]):
            self._open.fields[self._select] = named.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        if tag == "select":
            self._select = None


def read(address: str, html: str) -> tuple[list[str], list[Form]]:
    """Find the page's links and forms, by whole addresses."""
    reader = _Reader(address)
    reader.feed(html)
    return reader.links, reader.forms


def variations(form: Form) -> list[dict[str, str]]:
    """Fill the form in wrongly: all shown fields alike, each alone, and each left out."""
    shown = sorted(form.shown) or sorted(form.fields)
    wrong = [form.fields | dict.fromkeys(shown, value) for value in HOSTILE]
    for number, name in enumerate(sorted(form.fields)):
        wrong += [form.fields | {name: HOSTILE[(number + step) % len(HOSTILE)]} for step in (0, 5, 11)]
        wrong.append({other: value for other, value in form.fields.items() if other != name})
    return [*wrong, {}]
