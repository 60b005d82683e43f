"""From a form's fields to a log and back. Field names are the model's own paths: `voice.hopes`, `promises.0.due`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import HTTPException

from services.runtime.web.forms import WORDS, ClockTime, Fault, Form, Layout, Reading, read_into
from services.runtime.web.languages import N_
from services.visitlog.rules.form import Day, Log, Outcome, Part

REFERRAL_ROWS = 3
PROMISE_ROWS = 2

_LAYOUT = Layout(
    names={"started_at": "start", "ended_at": "end", "efforts.*.mileage_tenths": "efforts.*.miles"},
    # Whose it is and how far it has come are chosen beforehand.
    needs={"small_step": ("what",), "promises": ("what",), "referrals": ("resource",)},
    words={"language": N_("Write a code like en or pt-BR.")},
)
_TIMES = Layout(words={"day": WORDS["date_parsing"], "start": WORDS["time_parsing"], "end": WORDS["time_parsing"]})


class Start(Part):
    """When a visit began, as it is typed."""

    day: Day
    start: ClockTime


class End(Part):
    """When it ended, if it is known."""

    day: Day
    end: ClockTime | None = None


class Shown:
    """What stands in a form's fields as it is shown: prefilled, or as it was typed."""

    def __init__(self, form: Form, errors: Mapping[str, str] = MappingProxyType({})) -> None:
        self._form = form
        self.errors = errors

    def value(self, name: str) -> str:
        """Give the field's text."""
        return self._form.get(name)

    def nth(self, name: str, position: int) -> str:
        """Give the text of one of several fields of that name, from 0."""
        texts = self._form.all(name)
        return texts[position] if position < len(texts) else ""

    def has(self, name: str, value: str) -> bool:
        """Tell whether this choice is taken."""
        return value in self._form.all(name)

    def any_of(self, *prefixes: str) -> bool:
        """Tell whether something stands in one of these fields: then it must not be folded away."""
        filled_in = {name for name in self._form if any(self._form.all(name))}
        return any(name.startswith(prefixes) for name in filled_in | set(self.errors))


def prefilled(visit: asyncpg.Record, *, zone: tzinfo) -> Shown:
    """Show an empty form with what the appointment says."""
    starts_at = visit["starts_at"].astimezone(zone) if visit["starts_at"] else None
    fields = [
        ("place", visit["place"] or "home"),
        ("day", starts_at.date().isoformat() if starts_at else ""),
        ("start", starts_at.strftime("%H:%M") if starts_at else ""),
        ("language", visit["language"] or "en"),
        *(("pair", name) for name in visit["pair"] or ("", "")),
        ("small_step.whose", "family"),
        *((f"promises.{row}.whose", "visitors") for row in range(PROMISE_ROWS)),
    ]
    return Shown(Form(fields))


def read_log(form: Form, *, visit_id: UUID, zone: tzinfo) -> Reading[Log]:
    """Read the log that a form holds; of an attempt only what applies to it."""
    start, end = read_into(Start, form, layout=_TIMES), read_into(End, form, layout=_TIMES)
    pair = [name.strip() for name in form.all("pair")]
    efforts, faults = _efforts(form, pair)
    given: dict[str, Any] = {
        "visit_id": visit_id,
        "started_at": start.value and datetime.combine(start.value.day, start.value.start, zone),
        "ended_at": end.value and end.value.end and datetime.combine(end.value.day, end.value.end, zone),
        "pair": pair,
        "efforts": efforts,
        "follow_up": _follow_up(form),
    }
    if form.get("outcome").strip() != Outcome.TOOK_PLACE:
        given |= dict.fromkeys(Log.OF_A_VISIT)
    return read_into(Log, form, layout=_LAYOUT, given=given, faults=(*start.faults, *end.faults, *faults))


def _efforts(form: Form, pair: Sequence[str]) -> tuple[list[dict[str, Any]], list[Fault]]:
    efforts: list[dict[str, Any]] = []
    faults = []
    for position, visitor_id in enumerate(pair[:2]):
        name = f"efforts.{position}"
        typed = {each: form.get(f"{name}.{each}").strip() for each in ("minutes", "travel_minutes", "miles")}
        miles = typed.pop("miles")
        effort: dict[str, Any] = {each: text for each, text in typed.items() if text}
        if miles:
            effort["mileage_tenths"] = scaled(miles, 1)
            if effort["mileage_tenths"] is None:
                faults.append(Fault(f"{name}.miles", N_("Write miles like 12.5.")))
        efforts.append(effort | {"visitor_id": visitor_id})
    return efforts, faults


def scaled(text: str, places: int) -> int | None:
    """Read a decimal number as whole units of its last place, exactly; None where it is none."""
    whole, _, part = text.strip().replace(",", ".").partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(whole) > 5 or len(part) > places:
        return None
    return int((whole or "0") + part.ljust(places, "0"))


def _follow_up(form: Form) -> dict[str, str] | None:
    kind, due = form.get("follow_up.kind"), form.get("follow_up.due").strip()
    # A day without a kind is a visit; a kind without a day is a promise that nobody can keep.
    return {"kind": kind or "visit", "due": due} if due or kind else None


def id_in(address: str) -> UUID:
    """Read an id in an address; what is none leads nowhere."""
    try:
        return UUID(address)
    except ValueError:
        raise HTTPException(404) from None


def uuid7(as_of: datetime) -> UUID:
    """Draw an id that sorts by the time it was drawn (RFC 9562, version 7)."""
    milliseconds = int(as_of.timestamp() * 1000)
    drawn = uuid4().int & ((1 << 76) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (drawn & ~(0b11 << 62)) | 0b10 << 62
    return UUID(int=value)


def as_text(log: Mapping[str, Any], *, with_private_note: bool = False) -> str:
    """Write what a log says as plain text: what would be lost becomes an amendment."""
    parts: list[str] = []

    def walk(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{name} {key}".strip(), inner)
        elif isinstance(value, list):
            for inner in value:
                walk(name, inner)
        elif value not in (None, "", 0):
            parts.append(f"{name.replace('_', ' ')}: {value}")

    left_out = {"visit_id", "pair"} if with_private_note else {"visit_id", "pair", "private_note"}
    walk("", {name: value for name, value in log.items() if name not in left_out})
    return "\n".join(parts)
