"""What a person typed into a form of the desk: read into a command, or given back with what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from services.runtime.web.forms import Fault, Form, Layout, Read, Reading, read_into
from services.scheduling.rules.visits import What
from services.scheduling.rules.wording import N_

NUMBER = N_("Give a whole number from %(least)s to %(most)s.")
DAY = N_("Give a date, such as 2026-11-30.")
TIME = N_("Give a time, such as 16:30.")
ONE_OF_THESE = N_("Choose one of these.")
FROM_THE_LIST = N_("Choose from the list.")

# By what is wrong, or by the field where it is always the same that is asked for.
WORDS: Mapping[str, str] = {
    **dict.fromkeys(("int_parsing", "int_parsing_size", "greater_than_equal", "less_than_equal", "less_than"), NUMBER),
    **dict.fromkeys(("version", "minutes"), NUMBER),
    **dict.fromkeys(("contact_again_on", "day", "leap101_valid_from", "leap101_valid_until", "away_first"), DAY),
    "effective_from": DAY,
    "resources": N_("Name resources by small letters and underscores, such as bus_pass; at least one."),
    "extra_fields": N_("A log has %(longest)s further fields at most; take some off."),
    **dict.fromkeys(("time", "until", "time_parsing"), TIME),
    **dict.fromkeys(("enum", "literal_error", "bool_parsing"), ONE_OF_THESE),
    **dict.fromkeys(("reason", "way", "answer", "because", "wished_by", "place", "district"), ONE_OF_THESE),
    **dict.fromkeys(("language", "school", "string_pattern_mismatch", "too_long"), FROM_THE_LIST),
    "missing": N_("Fill in this field."),
    "string_too_short": N_("Give at least two letters."),
    "string_too_long": N_("Shorten this to %(longest)s characters."),
    "too_short": N_("Name at least one language."),
    "choice": N_("Choose one of the proposed pairs."),
    "second": N_("Visits are made in pairs: choose two different visitors."),
    "visitor_id": N_("Use up to 64 small letters, digits, dots and dashes."),
    "more_languages": N_("Give language codes, such as vi, so."),
    "window_weekday": N_("Choose the weekday of each window."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A form that did not do what was asked: what was typed, what is wrong, and what stands there by now."""

    form: str = ""
    done: What | None = None
    """What would have happened."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    refusal: str = ""
    held_by: str | None = None
    stale: bool = False
    both: Sequence[tuple[str, str, str]] = ()
    """What differs: the field, the value that stands now, the value that was typed."""


NOTHING_TRIED = Attempt()


def read(
    model: type[Read],
    form: Form,
    *,
    names: Mapping[str, str] = MappingProxyType({}),
    given: Mapping[str, Any] = MappingProxyType({}),
    faults: Iterable[Fault] = (),
) -> Reading[Read]:
    """Read a form of the desk, in the desk's words; see `read_into`."""
    return read_into(model, form, layout=Layout(names=names, words=WORDS), given=given, faults=faults)


def kept(form: Form) -> dict[str, Any]:
    """Give back what was typed: a list where a field came more than once."""
    several = {name: form.all(name) for name in form}
    return {name: values if len(values) > 1 else values[0] for name, values in several.items()}


def typed(form: Form, *names: str) -> dict[str, str]:
    """Give what stands in fields that the page shows filled in: emptied, they are wrong, whatever the default."""
    return {name: form.get(name).strip() for name in names}
