"""One command, two doors: what a program sends and what a page's form is read into is one model, bounded once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from contracts.events import AbsencePolicy, DeskPolicy, LogPolicy, Weights
from services.runtime.web.forms import WORDS as COMMON_WORDS
from services.runtime.web.forms import bounds_of
from services.scheduling.api import routes
from services.scheduling.api.asking import SUBJECTS
from services.scheduling.commands import COMMANDS, Command
from services.scheduling.handlers.pairs import ProposePairs
from services.scheduling.pages import past
from services.scheduling.pages.appointment import Span
from services.scheduling.pages.forms import WORDS
from services.scheduling.pages.policy import ABSENCE, LOG, NUMBERS, SWITCHES, WEIGHTS
from tests.form_errors import errors_of

NO_CONTEXT: Any = None
TEMPLATES = Path(past.__file__).parents[1] / "templates"
MODELS: list[type[BaseModel]] = list(dict.fromkeys(command.model for command in COMMANDS))

# What is not asked of a model in the table: reads that are POSTs because they are recorded, a claim of whatever comes
# next, and a visitor's exclusions, whose household stands in the address.
BESIDE_THE_TABLE = {
    "POST /v1/requests/next/claim",
    "POST /v1/requests/{request_id}/contact-disclosure",
    "POST /v1/households/sought",
    "PUT /v1/visitors/{visitor_id}/exclusions/{household_key}",
    "DELETE /v1/visitors/{visitor_id}/exclusions/{household_key}",
}


def named(model: type[BaseModel]) -> str:
    return model.__name__


def offered() -> FastAPI:
    app = FastAPI()
    app.include_router(routes(NO_CONTEXT))
    return app


def changes_offered() -> dict[str, APIRoute]:
    """Every route that changes something, by method and path."""
    return {
        f"{method} {found.path}": found.original_route
        for found in iter_route_contexts(offered().routes)
        if isinstance(found.original_route, APIRoute)
        for method in (found.methods or set()) - {"GET", "HEAD"}
    }


def test_programs_are_offered_the_table_and_little_beside_it() -> None:
    command_by_place = {command.at.replace(" ", " /v1", 1): command for command in COMMANDS}
    assert len(command_by_place) == len(COMMANDS), "no two stand at one address"
    routes_by_place = changes_offered()
    assert set(routes_by_place) == set(command_by_place) | BESIDE_THE_TABLE
    for place, command in command_by_place.items():
        body = routes_by_place[place].body_field
        assert body is not None
        assert body.field_info.annotation is command.model
        assert routes_by_place[place].description == command.says


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.at)
def test_a_command_says_what_it_does_and_what_it_did(command: Command) -> None:
    assert command.says.endswith(".")
    assert "Raises" not in command.says
    assert command.subject in SUBJECTS
    assert command.done is None or command.done in past.WHATS
    assert not command.form or command.done is not None, "its page says what happened"


def test_each_form_of_the_table_stands_on_the_requests_page_and_no_other() -> None:
    page = (TEMPLATES / "_request.html").read_text()
    forms = {part.partition('"')[0] for part in page.split('action="/requests/{{ row.request_id }}/')[1:]}
    assert forms == {command.form for command in COMMANDS if command.form}


@pytest.mark.parametrize("model", [*MODELS, Span], ids=named)
def test_what_is_sent_is_known_to_the_last_field_and_does_not_change(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


@pytest.mark.parametrize("model", [*MODELS, Span, ProposePairs], ids=named)
def test_everything_that_can_be_wrong_with_a_form_has_its_words(model: type[BaseModel]) -> None:
    # A time is read by a validator of our own, which says "time_parsing" as pydantic does.
    assert errors_of(model) - {"value_error"} <= set(WORDS) | set(COMMON_WORDS)


def test_the_policys_page_asks_for_every_number_within_the_bounds_that_programs_have() -> None:
    asked: dict[type[BaseModel], Sequence[tuple[str, str]]] = {
        AbsencePolicy: [*ABSENCE, *SWITCHES["absence"].items(), ("accumulator", "")],
        DeskPolicy: [*NUMBERS, *SWITCHES["desk"].items(), ("weights", "")],
        Weights: WEIGHTS,
        LogPolicy: [*LOG, *SWITCHES["log"].items(), ("resources", ""), ("extra_fields", "")],
    }
    for model, fields in asked.items():
        assert sorted(name for name, _ in fields) == sorted(model.model_fields)
    schemas = offered().openapi()["components"]["schemas"]
    for schema, model, numbers in (
        ("_Absence", AbsencePolicy, ABSENCE),
        ("_Desk", DeskPolicy, NUMBERS),
        ("_Weights", Weights, WEIGHTS),
        ("_Log", LogPolicy, LOG),
    ):
        for name, _ in numbers:
            told = schemas[schema]["properties"][name]
            assert bounds_of(model, (name,)) == {"least": told["minimum"], "most": told["maximum"]}, name
