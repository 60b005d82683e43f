"""What a family is handed over: all that is held, who read it, in their language; nothing of it can be markup."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.commands import answer
from deploy.commands.answer import Held, as_page, as_text, parts_of
from deploy.commands.answer_words import ES, FamilyWords
from tests.zones import HERE

HOUSEHOLD, CHILD = "0b000000-0000-0000-0000-000000000001", "0a000000-0000-0000-0000-000000000001"
NAMES = {"ana": "Ana R."}


def held(**more: Any) -> Held:
    """A household with a child, a visit and a log; ana read of it, and somebody long ago."""
    contact = {
        "contact_name": "Rosa <b>Example</b>", "phones": ["+1 860 555 0100"], "address": "17 Elm Street",
        "language": "es", "interpreter_needed": True,
        "students": [{"student_key": CHILD, "given_name": "Leo", "family_name": "Example"}],
    }  # fmt: skip
    desk = {
        "district": "hartford", "contact": contact, "children": [{"student_key": CHILD}],
        "requests": [{"opened_at": "2026-10-01T12:00:00Z"}],
        "contacts": [{"way": "call", "answer": "agreed", "made_at": "2026-10-02T12:00:00Z", "withdrawn_at": None}],
        "visits": [{"state": "completed", "place": "community", "place_text": "Library", "starts_at":
                    "2026-10-09T20:00:00Z"}],
    }  # fmt: skip
    body = {
        "voice": {"hopes": "A quiet year", "obstacles": ["barriers"]}, "left": ["supplies"],
        "small_step": {"what": "Clothes out at night", "whose": "student"}, "private_note": "Call the nurse",
        "promises": [{"what": "A bus pass", "due": "2026-10-20", "whose": "visitors"}], "extra": {"pets": "a cat"},
    }  # fmt: skip
    log = {
        "outcome": "took_place", "started_at": "2026-10-09T20:00:00Z", "body": body,
        "referrals": [{"resource": "food", "status": "offered"}], "amendments": [{"note": "The grandmother was there"}],
    }  # fmt: skip
    told = {
        "as_of": "2026-10-08", "absent_days": ["2026-09-11"],
        "accumulators": [{"accumulator": "school", "school": "H01", "days_absent": 1, "days_enrolled": 28}],
    }  # fmt: skip
    reading = {
        "at": "2026-10-02T12:00:00Z", "times": 1, "person": "ana", "role": "scheduler", "what": ["contact", "days"],
        "purpose": "arrange", "door": "page", "service": "scheduling",
    }  # fmt: skip
    of_before = reading | {"role": None, "door": None, "times": 3, "what": ["words"], "purpose": "own_visit"}
    facts: dict[str, Any] = {
        "household_key": HOUSEHOLD,
        "by_service": {
            "scheduling": desk, "visitlog": {"district": "hartford", "logs": [log]}, "flagging": {"children": [CHILD]},
            "reporting": {"held": {"flag": 1, "request": 2}},
        },
        "days_by_child": {CHILD: told}, "readings": [reading, of_before | {"service": "visitlog"}],
    }  # fmt: skip
    return Held(**facts | more)


def test_everything_that_is_held_stands_in_it_and_who_read_it() -> None:
    text = as_text(list(parts_of(held(), FamilyWords("en"), zone=HERE, names=NAMES)))
    for said in (
        "Rosa <b>Example</b>", "+1 860 555 0100", "17 Elm Street", "Leo Example",
        "Leo, school H01: missed 1 of 28 days", "Sep 11, 2026", "Library", "you agreed", "A quiet year",
        "Clothes out at night", "A bus pass", "a cat",
        "Call the nurse", "The grandmother was there", "Food, Offered", "3 entries",
        "Ana R., scheduler | name, phones and address, a child's days | to arrange a visit | scheduling desk: page",
        "an earlier record, without the role | what was said | their own visit | visit log",
    ):  # fmt: skip
        assert said in text, said


def test_it_is_said_in_the_familys_language() -> None:
    text = as_text(list(parts_of(held(), FamilyWords("es"), zone=HERE, names=NAMES)))
    for said in (
        "Lo que guardamos de su familia", "Se necesita intérprete.", "faltó 1 de 28 días", "usted aceptó",
        "nombre, teléfonos y dirección", "para acordar una visita", "oficina de citas: página",
    ):  # fmt: skip
        assert said in text, said
    assert "Who read it" not in text


def test_the_page_is_whole_and_nothing_a_family_is_called_is_markup() -> None:
    page = as_page(list(parts_of(held(), FamilyWords("es"), zone=HERE, names=NAMES)), FamilyWords("es"))
    assert '<html lang="es">' in page
    assert "Rosa &lt;b&gt;Example&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "http" not in page, "it loads nothing from anywhere"


def test_where_nothing_is_held_that_is_said() -> None:
    empty = held(
        by_service={"scheduling": {}, "visitlog": {}, "flagging": {}, "reporting": {}}, days_by_child={}, readings=[]
    )
    text = as_text(list(parts_of(empty, FamilyWords("en"), zone=HERE, names=NAMES)))
    for said in ("No name, phone or address is held.", "No school days are held.", "Nobody has read anything."):
        assert said in text


def sentences() -> set[str]:
    """Every sentence that is given to `say`, wherever it stands in the command."""
    tree = ast.parse(Path(answer.__file__).read_text(encoding="utf-8"))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") == "say" or getattr(node.func, "id", "") == "say")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and " " in node.args[0].value
    }


@pytest.mark.parametrize("sentence", sorted(sentences()))
def test_every_sentence_has_a_spanish_one(sentence: str) -> None:
    assert sentence in ES
    values = dict.fromkeys(re.findall(r"%\((\w+)\)s", sentence), "x")
    assert "%(" not in FamilyWords("es").say(sentence, **values)
