"""Visit log, as a table: what it reads and what it offers."""

from pathlib import Path

from contracts.access import ROUTES
from contracts.topics import COMPACTED
from services.runtime.delivery import letting_go
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service, Timer
from services.runtime.web.context import Context
from services.runtime.web.pages import Pages
from services.visitlog import api
from services.visitlog.handlers import forgetting
from services.visitlog.handlers.arrivals import decode, on_events
from services.visitlog.handlers.taking_back import OWN
from services.visitlog.pages import disclosures, form, log, office, phone, visits

FOLDER = Path(__file__).parent

EVENTS = Subscription(
    group="leap-visitlog",
    topics=(
        "home-visits",
        "household-contacts",
        "calendars",
        "school-calendar",
        "visitors",
        "district-policies",
        "forgotten",
    ),
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
    for part in (visits, form, log, office, phone, disclosures):
        pages.router.include_router(part.routes(context, pages))
    return pages


service = Service(
    name="visitlog",
    access=ROUTES["visitlog"],
    keeps_apart=True,
    migrations=FOLDER / "migrations",
    subscriptions=(EVENTS,),
    own_words=OWN,
    timers=(
        Timer(name="keep forgotten", every_seconds=forgetting.EVERY_SECONDS, run=forgetting.keep_forgotten),
        Timer(name="let go what is too old", every_seconds=letting_go.EVERY_SECONDS, run=forgetting.let_go),
    ),
    routes=api.routes,
    pages=log_pages,
)
