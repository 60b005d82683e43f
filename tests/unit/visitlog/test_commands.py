"""One command, two doors: what a program sends and what a page reads is one model, and every fault has its words."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from services.runtime.web.forms import WORDS
from services.visitlog.api import routes
from services.visitlog.api.asking import SUBJECTS
from services.visitlog.commands import COMMANDS, Command
from services.visitlog.pages.fields import End, Start
from tests.form_errors import errors_of

NO_CONTEXT: Any = None
MODELS = [*(command.model for command in COMMANDS), Start, End]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_everything_that_can_be_wrong_with_a_form_has_its_words(model: type[BaseModel]) -> None:
    # A validator of our own says more than a table could know: "Check this."
    assert errors_of(model) - {"value_error"} <= set(WORDS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_is_sent_is_known_to_the_last_field_and_does_not_change(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


def offered() -> dict[str, APIRoute]:
    """Every route that changes something, by method and path."""
    app = FastAPI()
    app.include_router(routes(NO_CONTEXT))
    return {
        f"{method} {each.path}": each.original_route
        for each in iter_route_contexts(app.routes)
        if isinstance(each.original_route, APIRoute)
        for method in set(each.methods or ()) - {"GET", "HEAD"}
    }


def test_programs_are_offered_the_table_and_no_other_change() -> None:
    named = {command.at.replace(" ", " /v1", 1): command for command in COMMANDS if command.at}
    routes_by_place = offered()
    assert set(routes_by_place) == set(named)
    for place, route in routes_by_place.items():
        assert route.body_field is not None
        assert route.body_field.field_info.annotation is named[place].model
        assert route.description == named[place].says


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.handler.__name__)
def test_a_command_is_about_something_known_and_has_its_sentence(command: Command) -> None:
    assert command.subject in SUBJECTS
    assert command.says.endswith(".")
    assert "Raises" not in command.says
