"""Visit log, as a table: what it reads and what it offers."""

from pathlib import Path

from contracts.topics import COMPACTED
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service
from services.runtime.web.context import Context
from services.runtime.web.pages import Pages
from services.visitlog import api
from services.visitlog.handlers.arrivals import decode, on_events
from services.visitlog.handlers.taking_back import OWN
from services.visitlog.pages import disclosures, form, log, office, phone, visits

FOLDER = Path(__file__).parent

EVENTS = Subscription(
    group="leap-visitlog",
    topics=("home-visits", "household-contacts", "calendars", "school-calendar", "visitors", "district-policies"),
    decode=decode,
    handle=on_events,
    compacted=COMPACTED,
)


def log_pages(context: Context) -> Pages:
    """Offer the log to visitors' phones and to the coordinator. Raises SettingsRejected where nobody may sign in."""
    pages = Pages(
        context,
        templates=FOLDER / "templates",
        translations=FOLDER / "translations",
        title=phone.TITLE,
        static=FOLDER / "static",
    )
    for part in (visits, form, log, office, disclosures):
        pages.router.include_router(part.routes(context, pages))
    pages.router.include_router(phone.routes(pages))
    return pages


service = Service(
    name="visitlog",
    migrations=FOLDER / "migrations",
    subscriptions=(EVENTS,),
    own_words=OWN,
    routes=api.routes,
    pages=log_pages,
)
