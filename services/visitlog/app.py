"""Visit log, as a table: what it reads and what it offers."""

from pathlib import Path

from fastapi import APIRouter

from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service
from services.runtime.web.context import Context
from services.runtime.web.pages import Pages
from services.visitlog import api
from services.visitlog.handlers.arrivals import decode, on_events
from services.visitlog.pages import form, log, office, phone, visits

FOLDER = Path(__file__).parent

EVENTS = Subscription(
    group="leap-visitlog",
    topics=("home-visits", "household-contacts", "school-calendar", "visitors"),
    decode=decode,
    handle=on_events,
)


def routes(context: Context) -> APIRouter:
    """Offer the log to programs, to visitors' phones and to the coordinator."""
    pages = Pages(
        context,
        templates=FOLDER / "templates",
        translations=FOLDER / "translations",
        title=phone.TITLE,
        static=FOLDER / "static",
    )
    router = APIRouter()
    router.include_router(pages.router)
    router.include_router(api.routes(context))
    for part in (visits, form, log, office):
        router.include_router(part.routes(context, pages))
    router.include_router(phone.routes(pages))
    return router


service = Service(
    name="visitlog",
    migrations=FOLDER / "migrations",
    subscriptions=(EVENTS,),
    routes=routes,
)
