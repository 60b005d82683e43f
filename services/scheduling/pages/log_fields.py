"""The further fields of the visit log, as rows of the policy's form: shown, read, each fault in its row."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from contracts.events import ExtraField
from services.runtime.web.forms import Fault, Form
from services.scheduling.pages.forms import ONE_OF_THESE, WORDS
from services.scheduling.rules.policy import problems_with_fields
from services.scheduling.rules.wording import N_

Row = dict[str, str]
"""A field as it stands on the form: the text of each of its inputs, by name."""

LIST = "extra_fields"
"""What the form's names of a field begin with; then the row's number, then the input."""
MOST = 20
KINDS: Mapping[str, str] = {
    "text": N_("words"),
    "number": N_("a whole number"),
    "yes_no": N_("yes or no"),
    "choice": N_("one of some choices"),
}
BLANK: Row = {"code": "", "en": "", "es": "", "kind": "text", "choices": "", "remove": ""}

_INPUT = re.compile(rf"{LIST}\.([^.]+)\.({'|'.join(BLANK)})")
_WRONG: Mapping[str, str] = {
    "code": N_("Give a code of small letters, digits and underscores, such as bus_stop."),
    "en": N_("Write what visitors read, in English or in Spanish."),
    "es": N_("Write what visitors read, in English or in Spanish."),
    "kind": ONE_OF_THESE,
    "choices": N_("Write one choice a line, such as: near = Near the school | Cerca de la escuela. At most 20."),
}


def rows_of(fields: Iterable[ExtraField]) -> list[Row]:
    """Write the fields of a policy as the form shows them."""
    return [
        BLANK
        | {"code": field.code, **_labels(field.labels), "kind": field.kind}
        | {"choices": "\n".join(_line(choice.code, choice.labels) for choice in field.choices)}
        for field in fields
    ]


def rows_typed(form: Form, standing: Iterable[ExtraField]) -> list[Row]:
    """Give the rows that were typed, in the order of their numbers; a form without the list leaves it as it stands.

    However a row is numbered, by 1000 or by 01, it is one: none is dropped unseen.
    """
    if LIST not in form:
        return rows_of(standing)
    numbers = sorted({found[1] for name in form if (found := _INPUT.fullmatch(name))}, key=_by_number)
    return [{each: form.get(f"{LIST}.{number}.{each}").strip() for each in BLANK} for number in numbers]


def _by_number(row: str) -> tuple[bool, int, str, str]:
    is_number = row.isascii() and row.isdigit()
    number = row.lstrip("0") if is_number else ""  # not as an integer: it may have a thousand digits
    return not is_number, len(number), number, row


def fields_in(rows: Sequence[Row], standing: Iterable[ExtraField]) -> list[dict[str, Any]]:
    """Read the rows that are fields: one that is to go, or was left empty, is none.

    A row that nobody touched is the field as it stands, whatever a program put into it that no form can show.
    """
    standing = tuple(standing)
    untouched = {_seen(row): field for row, field in zip(rows_of(standing), standing, strict=True)}
    return [
        untouched[_seen(rows[number])].model_dump() if _seen(rows[number]) in untouched else _field(rows[number])
        for number in _filled(rows)
    ]


def in_their_rows(faults: Iterable[Fault], rows: Sequence[Row]) -> tuple[Fault, ...]:
    """Lead every fault of a field, by its path in the policy, to the input of its row."""
    placed: dict[str, Fault] = {}
    for fault in faults:
        part, _, path = fault.field.partition(f"log.{LIST}.")
        led = fault if part or not path else _led(fault, path.split("."), rows)
        placed.setdefault(led.field, led)
    return tuple(placed.values())


def contradictions(fields: Sequence[ExtraField], rows: Sequence[Row]) -> tuple[Fault, ...]:
    """Find what no field shows by itself: a code twice, a choice of nothing."""
    numbers = _filled(rows)
    return tuple(
        Fault(f"{LIST}.{numbers[problem.position]}.{problem.part}", problem.msgid)
        for problem in problems_with_fields(fields)
    )


def in_one_line(fields: Iterable[ExtraField], say: Callable[[str], str]) -> str:
    """Write fields so that two versions of them can be compared."""
    return "; ".join(
        f"{field.code}: {' | '.join(field.labels.values())} ({say(KINDS[field.kind])})"
        + "".join(f" [{_line(choice.code, choice.labels)}]" for choice in field.choices)
        for field in fields
    )


def _led(fault: Fault, steps: Sequence[str], rows: Sequence[Row]) -> Fault:
    place, part, *inner = steps
    if part == "labels":
        part = inner[0] if inner else "en"
    text = fault.text if part in ("en", "es") and fault.text == WORDS["string_too_long"] else _WRONG.get(part)
    return Fault(f"{LIST}.{_filled(rows)[int(place)]}.{part}", text or fault.text, fault.values)


def _filled(rows: Sequence[Row]) -> list[int]:
    return [
        number
        for number, row in enumerate(rows)
        if not row["remove"] and any(row[each] for each in ("code", "en", "es", "choices"))
    ]


def _seen(row: Row) -> tuple[str, ...]:
    # An input has one line, and people see no difference between one space and two.
    return tuple(" ".join(row[each].split()) for each in BLANK)


def _field(row: Row) -> dict[str, Any]:
    lines = [line.partition("=") for line in row["choices"].splitlines() if line.strip()]
    return {
        **_labelled(row["code"], row["en"], row["es"]),
        "kind": row["kind"],
        "choices": [_labelled(code, *_both_languages(labels)) for code, _, labels in lines],
    }


def _labelled(code: str, english: str, spanish: str) -> dict[str, Any]:
    labels = {"en": english.strip(), "es": spanish.strip()}
    return {"code": code.strip(), "labels": {language: text for language, text in labels.items() if text}}


def _both_languages(labels: str) -> tuple[str, str]:
    english, _, spanish = labels.partition("|")
    return english, spanish


def _labels(labels: Mapping[Any, str]) -> dict[str, str]:
    return {language: labels.get(language, "") for language in ("en", "es")}


def _line(code: str, labels: Mapping[Any, str]) -> str:
    english, spanish = _labels(labels).values()
    return f"{code} = {english} | {spanish}" if spanish else f"{code} = {english}"
