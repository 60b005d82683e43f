"""Forms as they come in: text, not too much of it, nothing a database can't store; and what they say, as a model."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import time
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from services.runtime.web.languages import N_, Language

MAX_BYTES = 64 * 1024
MAX_FIELDS = 200

Read = TypeVar("Read", bound=BaseModel)
Steps = tuple[str | int, ...]

_ROW = re.compile(r"0|[1-9][0-9]{0,2}")
_OPEN_AGAIN = N_("Open the page again and send it from there.")
_TOO_SMALL = N_("This number is too small.")
_TOO_LARGE = N_("This number is too large.")
_CHOOSE = N_("Choose one of these.")
_DAY = N_("Choose a day.")
_NUMBER = N_("Write a number.")
_MOMENT = N_("Write a day and a time.")

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "missing": N_("Fill this in."),
        "string_too_short": N_("Fill this in."),
        "string_too_long": N_("This is too long. Shorten it."),
        "string_pattern_mismatch": N_("This can't be written like that."),
        "enum": _CHOOSE,
        "literal_error": _CHOOSE,
        "bool_parsing": _CHOOSE,
        "too_short": N_("There is too little here."),
        "too_long": N_("There is too much here."),
        "int_parsing": N_("Write a whole number."),
        "int_parsing_size": _TOO_LARGE,
        "float_parsing": _NUMBER,
        "finite_number": _NUMBER,
        "decimal_parsing": _NUMBER,
        "greater_than": _TOO_SMALL,
        "greater_than_equal": _TOO_SMALL,
        "less_than": _TOO_LARGE,
        "less_than_equal": _TOO_LARGE,
        "date_parsing": _DAY,
        "date_from_datetime_parsing": _DAY,
        "date_from_datetime_inexact": _DAY,
        "time_parsing": N_("Write a time like 16:30."),
        "datetime_parsing": _MOMENT,
        "datetime_from_date_parsing": _MOMENT,
        "timezone_aware": _MOMENT,
        "uuid_parsing": _OPEN_AGAIN,
    }
)
"""What people read for each of pydantic's errors that a text can cause; a test walks the services' models."""

OTHERWISE = N_("Check this.")
"""What they read where only the rule itself knows: a validator of its own."""


def _clock_time(said: object) -> object:
    try:
        at = time.fromisoformat(said) if isinstance(said, str) else said
    except ValueError:
        at = None
    if not isinstance(at, time) or at.tzinfo is not None:
        raise PydanticCustomError("time_parsing", "a time of day is needed, without a zone")
    return at


ClockTime = Annotated[time, BeforeValidator(_clock_time)]
"""A time as people type it, on the clock of the place: 16:30."""


class Form:
    """The fields of a form, in the order they were sent; a name may come more than once."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def get(self, name: str, otherwise: str = "") -> str:
        """Give the field's first value."""
        return next((value for each, value in self._fields if each == name), otherwise)

    def all(self, name: str) -> list[str]:
        """Give every value of the field: ticked boxes, chosen lines."""
        return [value for each, value in self._fields if each == name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def values(self) -> dict[str, str]:
        """Give each field's first value by name, to show again what was typed."""
        return {name: self.get(name) for name in self}


async def read_form(request: Request, *, max_bytes: int = MAX_BYTES) -> Form:
    """Read a URL-encoded form. Raises HTTPException: 413 too long, 415 no form, 422 no text."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, N_("send this as a form"))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, N_("this is longer than any form here; send less"))
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise HTTPException(422, N_("this is not a form's text; open the page again and send it from there")) from None
    if any("\x00" in text for field in fields for text in field):
        raise HTTPException(422, N_("a field holds a character that is no text"))
    # Browsers send line ends as two characters; people mean one.
    return Form([(name, value.replace("\r\n", "\n")) for name, value in fields])


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field: a sentence to be translated, and the values it names."""

    field: str
    text: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a page spells a model, where it is not by the model's own paths (`promises.0.due`).

    `names`: the form's name for a path, `*` for a row's number; where the form's name has none, rows are columns, the
    n-th field of that name being the n-th row's. `needs`: the fields of which one must be filled in for a part or a row
    to be there, where others come chosen beforehand. `words`: what this page says of a field by its name, whatever is
    wrong with it, or of a kind of error, in place of `WORDS`.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)


PLAIN = Layout()


@dataclasses.dataclass(frozen=True, slots=True)
class Reading(Generic[Read]):
    """What a form says: a value, or None and at most one fault for each field that needs correcting."""

    value: Read | None
    faults: tuple[Fault, ...] = ()

    def said(self, language: Language) -> dict[str, str]:
        """Say by field what to correct, in the reader's language."""
        return {fault.field: language.gettext(fault.text, **fault.values) for fault in self.faults}


def read_into(
    model: type[Read],
    form: Form,
    *,
    layout: Layout = PLAIN,
    given: Mapping[str, Any] = MappingProxyType({}),
    faults: Iterable[Fault] = (),
) -> Reading[Read]:
    """Read a form into a model: the bounds are the model's, the words for what is wrong are for people.

    Spaces around a text are nobody's; an empty field is one that was left out. A list is what was chosen, a box that is
    not ticked is False: whatever their defaults. Fields that the model does not have are not read. `given` are fields
    that the page knows or has read its own way, None where it could not; `faults` are what it found wrong with them,
    and then nothing more is said of a field that it could not read.
    """
    walk = _Walk(form, layout)
    body = walk.part(model, known=given) | {name: value for name, value in given.items() if value is not None}
    value, found = None, dict[str, Fault]()
    for fault in faults:
        found.setdefault(fault.field, fault)
    unread = {name for name, read in given.items() if read is None} if found else set()
    try:
        value = model.model_validate(body)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_context=False, include_input=False):
            if error["loc"] and error["loc"][0] in unread:
                continue
            name = walk.name_of(error["loc"])
            text = layout.words.get(name) or layout.words.get(error["type"]) or WORDS.get(error["type"], OTHERWISE)
            found.setdefault(name, Fault(name, text, bounds_of(model, error["loc"])))
    return Reading(None if found else value, tuple(found.values()))


class _Walk:
    """One way through a model's fields: what the form says of each, and by which name."""

    def __init__(self, form: Form, layout: Layout) -> None:
        self._form = form
        self._layout = layout
        self._name_by_place: dict[Steps, str] = {}

    def part(
        self, model: type[BaseModel], at: Steps = (), row: Steps = (), known: Collection[str] = ()
    ) -> dict[str, Any]:
        """Read a model's fields. `at` is the place in the model, `row` the same with the form's numbers of rows."""
        body = {
            name: self._value(declared.annotation, (*at, name), (*row, name))
            for name, declared in model.model_fields.items()
            if name not in known
        }
        return {name: value for name, value in body.items() if value is not None}

    def name_of(self, place: Steps) -> str:
        """Give the form's name for the place of an error; what stands inside a field is the field's."""
        for end in range(len(place), 0, -1):
            if place[:end] in self._name_by_place:
                return self._name_by_place[place[:end]]
        return self._named(place)[0]

    def _value(self, annotation: Any, at: Steps, row: Steps) -> Any:
        kind, inner, _, may_be_none = _opened(annotation)
        name, position = self._named(row)
        self._name_by_place[at] = name
        if kind is dict:
            return self._by_key(name, at)
        if kind in (list, tuple, set, frozenset):
            element, *_ = _opened(inner)
            return self._rows(element, at, row) if _is_model(element) else self._chosen(name)
        if _is_model(kind):
            body = self.part(kind, at, row)
            return body if self._is_there(body, row) else None
        texts = self._form.all(name)[position : position + 1]
        text = texts[0].strip() if texts else ""
        return text or (False if kind is bool and not may_be_none else None)

    def _chosen(self, name: str) -> list[str]:
        return [text.strip() for text in self._form.all(name) if text.strip()]

    def _by_key(self, name: str, at: Steps) -> dict[str, str]:
        keyed = {each.removeprefix(f"{name}."): each for each in self._form if each.startswith(f"{name}.")}
        self._name_by_place |= {(*at, key): each for key, each in keyed.items()}
        return {key: self._form.get(each).strip() for key, each in keyed.items() if self._form.get(each).strip()}

    def _rows(self, model: type[BaseModel], at: Steps, row: Steps) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in self._numbers(row):
            body = self.part(model, (*at, len(rows)), (*row, number))
            if self._is_there(body, row):
                rows.append(body)
        return rows

    def _numbers(self, row: Steps) -> list[int]:
        pattern, name = f"{_pattern(row)}.*.", re.escape(self._named(row)[0])
        columns = [named for path, named in self._layout.names.items() if path.startswith(pattern) and "*" not in named]
        numbered = [found[1] for each in self._form if (found := re.match(rf"{name}\.([^.]+)\.", each))]
        if not all(map(_ROW.fullmatch, numbered)):
            # No page writes such a name, and a row that was sent is not dropped unseen.
            raise HTTPException(422, _OPEN_AGAIN)
        rows_of_columns = range(max((len(self._form.all(column)) for column in columns), default=0))
        return sorted({*rows_of_columns, *map(int, numbered)})

    def _is_there(self, body: Mapping[str, Any], row: Steps) -> bool:
        needed = self._layout.needs.get(_pattern(row), tuple(body))
        return any(body.get(name) for name in needed)

    def _named(self, row: Steps) -> tuple[str, int]:
        """Give the form's name for a path, and which of the fields of that name it is."""
        pattern = _pattern(row)
        name = self._layout.names.get(pattern, pattern)
        for number in (step for step in row if isinstance(step, int)):
            if "*" not in name:
                return name, number
            name = name.replace("*", str(number), 1)
        return name, 0


def _pattern(row: Steps) -> str:
    return ".".join("*" if isinstance(step, int) else step for step in row)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _opened(annotation: Any) -> tuple[Any, Any, list[Any], bool]:
    """Take an annotation apart: what it is, of what, within which bounds, and whether it may be None."""
    bounds: list[Any] = []
    may_be_none = False
    while get_origin(annotation) in (Annotated, Union, UnionType):
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            bounds += [bound for each in more for bound in getattr(each, "metadata", (each,))]
        else:
            kinds = [each for each in get_args(annotation) if each is not NoneType]
            may_be_none |= len(kinds) < len(get_args(annotation))
            annotation = kinds[0]
    kind, arguments = get_origin(annotation) or annotation, get_args(annotation)
    return kind, (arguments[-1 if kind is dict else 0] if arguments else None), bounds, may_be_none


def bounds_of(model: type[BaseModel], place: Steps) -> dict[str, Any]:
    """Find the bounds of the field at a place: `least`, `most`, `shortest`, `longest`, as far as it has them."""
    annotation: Any = model
    bounds: list[Any] = []
    for step in place:
        kind, inner, _, _ = _opened(annotation)
        if not _is_model(kind):
            annotation, bounds = inner, []
        elif step in kind.model_fields:
            annotation, bounds = kind.model_fields[step].annotation, kind.model_fields[step].metadata
    found: dict[str, Any] = {}
    for bound in (*bounds, *_opened(annotation)[2]):
        for limit, name, beside in _LIMITS:
            if (said := getattr(bound, limit, None)) is not None:
                found[name] = said + beside if beside else said
    return found


# `gt` and `lt` are told as the next whole number: whoever reads it types that.
_LIMITS = (
    ("ge", "least", 0),
    ("gt", "least", 1),
    ("le", "most", 0),
    ("lt", "most", -1),
    ("min_length", "shortest", 0),
    ("max_length", "longest", 0),
)
