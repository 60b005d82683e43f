"""What a person typed into a form, field by field: checked, and never lost."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any

from services.runtime.web import forms
from services.runtime.web.languages import N_

LARGEST_VERSION = 2**31 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, as a sentence to translate and the values it names."""

    field: str
    text: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Typed:
    """What a person sent, as text, and what was wrong with it so far.

    Reading a field that can't be used adds a fault and returns None: check `faults` before acting.
    """

    def __init__(self, form: forms.Form) -> None:
        self._form = form
        self.faults: list[Fault] = []

    @property
    def kept(self) -> dict[str, Any]:
        """Give back what was typed: a list where a field came more than once."""
        several = {name: self._form.all(name) for name in self._form}
        return {name: values if len(values) > 1 else values[0] for name, values in several.items()}

    def fault(self, name: str, text: str, **values: Any) -> None:
        """Note that a field can't be used."""
        self.faults.append(Fault(name, text, values))

    def text(self, name: str, *, longest: int = 200, required: bool = False) -> str | None:
        """Read one line of text, None where nothing was typed."""
        typed = " ".join(self._form.get(name).split())
        if len(typed) > longest:
            self.fault(name, N_("Shorten this to %(longest)s characters."), longest=longest)
            return None
        if required and not typed:
            self.fault(name, N_("Fill in this field."))
        return typed or None

    def matching(self, name: str, pattern: str) -> str | None:
        """Read a code of small letters, digits, dots and dashes."""
        typed = self._form.get(name).strip()
        if len(typed) <= 64 and re.fullmatch(pattern, typed):
            return typed
        self.fault(name, N_("Use up to 64 small letters, digits, dots and dashes."))
        return None

    def several(self, name: str, *, longest: int = 40, most: int = 20) -> list[str]:
        """Read every value of a field that may come more than once."""
        typed = [each.strip() for each in self._form.all(name) if each.strip()]
        if len(typed) > most or any(len(each) > longest for each in typed):
            self.fault(name, N_("Choose from the list."))
            return []
        return typed

    def choice(self, name: str, allowed: Collection[str], *, required: bool = True) -> str | None:
        """Read one of the allowed values."""
        typed = self._form.get(name)
        if typed in allowed:
            return typed
        if typed or required:
            self.fault(name, N_("Choose one of these."))
        return None

    def ticked(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return self._form.get(name) in ("yes", "on", "1", "true")

    def number(self, name: str, *, least: int, most: int, required: bool = True) -> int | None:
        """Read a whole number within its bounds."""
        typed = self._form.get(name).strip()
        if not typed and not required:
            return None
        if typed.isascii() and typed.isdigit() and len(typed) <= 10 and least <= int(typed) <= most:
            return int(typed)
        self.fault(name, N_("Give a whole number from %(least)s to %(most)s."), least=least, most=most)
        return None

    def version(self) -> int | None:
        """Read the version that the person saw."""
        return self.number("version", least=1, most=LARGEST_VERSION)

    def day(self, name: str, *, required: bool = True) -> date | None:
        """Read a calendar date."""
        return self.day_in(self._form.get(name).strip(), name, required=required)

    def day_in(self, typed: str, name: str, *, required: bool = True) -> date | None:
        """Read a calendar date of a row; a fault is noted on `name`."""
        if not typed and not required:
            return None
        try:
            day = date.fromisoformat(typed) if len(typed) == 10 else None
        except ValueError:
            day = None
        if day is None or not 2000 <= day.year < 2200:
            self.fault(name, N_("Give a date, such as %(example)s."), example="2026-11-30")
            return None
        return day

    def clock_time(self, name: str) -> time | None:
        """Read a time of day."""
        return self.time_in(self._form.get(name).strip(), name)

    def time_in(self, typed: str, name: str) -> time | None:
        """Read a time of day of a row; a fault is noted on `name`."""
        try:
            at = time.fromisoformat(typed) if len(typed) in (5, 8) else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is not None:
            self.fault(name, N_("Give a time, such as %(example)s."), example="16:30")
            return None
        return at

    def moment(self, day_name: str, time_name: str, zone: tzinfo) -> datetime | None:
        """Read a date and a time of the district's clock as one moment in UTC."""
        day, at = self.day(day_name), self.clock_time(time_name)
        if day is None or at is None:
            return None
        return datetime.combine(day, at, zone).astimezone(UTC)

    def rows(self, *names: str, most: int = 100) -> list[tuple[str, ...]]:
        """Read fields that come once per row of a table; a row with nothing in it is left out."""
        columns = [self._form.all(name) for name in names]
        if len({len(column) for column in columns}) > 1 or len(columns[0]) > most:
            self.fault(names[0], N_("Part of this table is missing; load the page again."))
            return []
        stripped = [tuple(each.strip() for each in row) for row in zip(*columns, strict=True)]
        return [row for row in stripped if any(row)]
