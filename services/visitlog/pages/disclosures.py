"""Who read what of which family in the visit log, for the coordinator and the auditor."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from services.runtime.web import disclosure_log
from services.runtime.web.context import Context
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.visitlog.pages.words import page_words

WORDS: Mapping[str, str] = {
    "name": N_("the name"),
    "contact": N_("name, phones and address"),
    "words": N_("what was said"),
    "note": N_("the private note"),
    "visits": N_("that there was a visit"),
    "own_visit": N_("their own visit"),
    "coordinate": N_("to coordinate visits"),
    "pay": N_("to pay visitors"),
    "answer": N_("to answer the family"),
    "page": N_("page"),
    "api": N_("program"),
    "command": N_("command of the installation"),
    "payroll": N_("payroll"),
    "visitor": N_("visitor"),
    "coordinator": N_("coordinator"),
    "auditor": N_("auditor"),
}


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer the records."""

    def around(_: Request, person: Person) -> dict[str, Any]:
        return page_words(person, "disclosures")

    return disclosure_log.page(context, pages, words=WORDS, around=around)
