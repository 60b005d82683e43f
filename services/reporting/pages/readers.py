"""One page per reader: the state, a RESC, a district, a school."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends

from services.reporting.reports.reading import Reading
from services.runtime.context import Context
from services.runtime.languages import N_
from services.runtime.pages import Pages, signed_in
from services.runtime.people import Person

HERE = Path(__file__).parent
Who = Annotated[Person, Depends(signed_in)]


def routes(context: Context, reading: Reading) -> APIRouter:
    """This will offer the pages."""
    pages = Pages(
        context,
        templates=HERE.parent / "templates",
        translations=HERE.parent / "translations",
        title=N_("Reports"),
        static=HERE.parent / "static",
    )
    router = APIRouter(include_in_schema=False)
    router.include_router(pages.router)
    return router
