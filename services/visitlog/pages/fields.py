"""From a form's fields to a log and back. Field names are the model's own paths: `voice.hopes`, `promises.0.due`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, tzinfo
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from pydantic import ValidationError

from services.runtime.web.forms import Form
from services.runtime.web.languages import N_
from services.visitlog.rules.form import Log
from services.visitlog.rules.outcomes import TOOK_PLACE

REFERRAL_ROWS = 3
PROMISE_ROWS = 2
_ONE_OF = ("outcome", "place", "private_note")
_ONE_OF_A_VISIT = ("language", "interpreter", "left_note")
_MANY_OF_A_VISIT = ("took_part", "left")
_VOICE = ("strengths", "hopes", "going_well", "in_the_way")

_MESSAGES = {
    "missing": N_("Fill this in."),
    "string_too_short": N_("Fill this in."),
    "string_too_long": N_("This is too long. Shorten it."),
    "enum": N_("Choose one of these."),
    "literal_error": N_("Choose one of these."),
    "date_from_datetime_parsing": N_("Choose a day."),
    "date_parsing": N_("Choose a day."),
    "int_parsing": N_("Write a whole number."),
    "greater_than_equal": N_("This number is too small."),
    "less_than_equal": N_("This number is too large."),
    "string_pattern_mismatch": N_("Write a code like en or pt-BR."),
}
_OTHERWISE = N_("Check this.")


class FormFaulty(Exception):
    """The form can't become a log; `errors` says by field what to correct, in English, to be translated."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("the form needs correcting")
        self.errors = dict(errors)


class Shown:
    """What stands in a form's fields as it is shown: prefilled, or as it was typed."""

    def __init__(self, fields: Mapping[str, Sequence[str]], errors: Mapping[str, str] | None = None) -> None:
        self._fields = fields
        self.errors = dict(errors or {})

    def value(self, name: str) -> str:
        """Give the field's text."""
        return next(iter(self._fields.get(name, ())), "")

    def nth(self, name: str, position: int) -> str:
        """Give the text of one of several fields of that name, from 0."""
        texts = self._fields.get(name, ())
        return texts[position] if position < len(texts) else ""

    def has(self, name: str, value: str) -> bool:
        """Tell whether this choice is taken."""
        return value in self._fields.get(name, ())

    def any_of(self, *prefixes: str) -> bool:
        """Tell whether something stands in one of these fields: then it must not be folded away."""
        return any(text for name, texts in self._fields.items() if name.startswith(prefixes) for text in texts) or any(
            name.startswith(prefixes) for name in self.errors
        )


def typed(form: Form, errors: Mapping[str, str] | None = None) -> Shown:
    """Show a form again as it was typed."""
    return Shown({name: form.all(name) for name in form}, errors)


def prefilled(visit: asyncpg.Record, zone: tzinfo) -> Shown:
    """Show an empty form with what the appointment says."""
    starts_at = visit["starts_at"].astimezone(zone) if visit["starts_at"] else None
    pair = list(visit["pair"]) or ["", ""]
    return Shown(
        {
            "place": [visit["place"] or "home"],
            "day": [starts_at.date().isoformat() if starts_at else ""],
            "start": [starts_at.strftime("%H:%M") if starts_at else ""],
            "language": [visit["language"] or "en"],
            "pair": pair,
            "small_step.whose": ["family"],
            **{f"promises.{row}.whose": ["visitors"] for row in range(PROMISE_ROWS)},
        }
    )


def log_of_form(form: Form, *, visit_id: UUID, zone: tzinfo) -> Log:
    """Read the log that a form holds; of an attempt only what applies to it. Raises FormFaulty."""
    errors: dict[str, str] = {}
    body: dict[str, Any] = {"visit_id": visit_id, "pair": [name.strip() for name in form.all("pair")]}
    body |= _texts(form, _ONE_OF)
    body |= _times(form, errors, zone)
    body["efforts"] = _efforts(form, body["pair"], errors)
    body["follow_up"] = _follow_up(form)
    body["referrals"] = _rows(form, "referrals", REFERRAL_ROWS, ("resource", "status"), needs="resource")
    if form.get("written_at"):
        body["written_at"] = form.get("written_at")
    if form.get("outcome") == TOOK_PLACE:
        body |= _of_a_visit(form)
    try:
        log = Log.model_validate({name: value for name, value in body.items() if value is not None})
    except ValidationError as invalid:
        errors = _said(invalid) | errors
    if errors:
        raise FormFaulty(errors)
    return log


def _texts(form: Form, names: Sequence[str]) -> dict[str, str]:
    return {name: form.get(name) for name in names if form.get(name).strip()}


def _of_a_visit(form: Form) -> dict[str, Any]:
    body: dict[str, Any] = dict(_texts(form, _ONE_OF_A_VISIT))
    body |= {name: form.all(name) for name in _MANY_OF_A_VISIT}
    voice: dict[str, Any] = {name: form.get(f"voice.{name}") for name in _VOICE if form.get(f"voice.{name}").strip()}
    body["voice"] = voice | {"obstacles": form.all("voice.obstacles")}
    if form.get("small_step.what").strip():
        body["small_step"] = {
            "what": form.get("small_step.what"),
            "whose": form.get("small_step.whose") or "family",
        }
    body["promises"] = _rows(form, "promises", PROMISE_ROWS, ("what", "due", "whose"), needs="what")
    extra = {name.removeprefix("extra."): form.get(name) for name in form if name.startswith("extra.")}
    body["extra"] = {code: said for code, said in extra.items() if said.strip()}
    return body


def _times(form: Form, errors: dict[str, str], zone: tzinfo) -> dict[str, Any]:
    try:
        day = date.fromisoformat(form.get("day"))
        if not 2000 < day.year < 2200:
            raise ValueError
    except ValueError:
        errors["day"] = N_("Choose a day.")
        return {}
    times: dict[str, Any] = {}
    for field, name in (("start", "started_at"), ("end", "ended_at")):
        said = form.get(field).strip()
        if not said and field == "end":
            continue
        try:
            clock = time.fromisoformat(said)
        except ValueError:
            errors[field] = N_("Write a time like 16:30.")
            continue
        if clock.tzinfo is not None:
            errors[field] = N_("Write a time like 16:30.")
        else:
            times[name] = datetime.combine(day, clock, zone)
    return times


def _efforts(form: Form, pair: Sequence[str], errors: dict[str, str]) -> list[dict[str, Any]]:
    efforts = []
    for position, visitor_id in enumerate(pair[:2]):
        name = f"efforts.{position}"
        effort: dict[str, Any] = {"visitor_id": visitor_id}
        for number in ("minutes", "travel_minutes"):
            if form.get(f"{name}.{number}").strip():
                effort[number] = form.get(f"{name}.{number}").strip()
        miles = form.get(f"{name}.miles").strip().replace(",", ".")
        if miles:
            tenths = _tenths(miles)
            if tenths is None:
                errors[f"{name}.miles"] = N_("Write miles like 12.5.")
            else:
                effort["mileage_tenths"] = tenths
        efforts.append(effort)
    return efforts


def _tenths(miles: str) -> int | None:
    whole, _, part = miles.partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(whole) > 4 or len(part) > 1:
        return None
    return int(whole or "0") * 10 + int(part or "0")


def _follow_up(form: Form) -> dict[str, str] | None:
    kind, due = form.get("follow_up.kind"), form.get("follow_up.due").strip()
    # A day without a kind is a visit; a kind without a day is a promise that nobody can keep.
    return {"kind": kind or "visit", "due": due} if due or kind else None


def _rows(form: Form, name: str, most: int, columns: Sequence[str], *, needs: str) -> list[dict[str, str]]:
    rows = []
    for position in range(most):
        row = {column: form.get(f"{name}.{position}.{column}") for column in columns}
        if row[needs].strip():
            rows.append({column: text for column, text in row.items() if text.strip()})
    return rows


def _said(invalid: ValidationError) -> dict[str, str]:
    errors: dict[str, str] = {}
    for fault in invalid.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"])
        field = {"started_at": "start", "ended_at": "end"}.get(place, place)
        field = field.replace("mileage_tenths", "miles")
        field = field.removesuffix(".date-from-datetime") or field
        errors.setdefault(field, _MESSAGES.get(fault["type"], _OTHERWISE))
    return errors


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
