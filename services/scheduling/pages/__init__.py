"""The scheduling desk: server-rendered pages, each action a plain form, live where scripts run."""

from pathlib import Path

from fastapi import Request, Response

from services.runtime.web.context import Context
from services.runtime.web.pages import Pages
from services.runtime.web.sse import event_stream
from services.scheduling.pages import actions, appointment, day, disclosures, keys, policy, queue, request, visitors
from services.scheduling.pages.desk import AtTheDesk, Desk
from services.scheduling.rules.wording import N_

_HERE = Path(__file__).parents[1]


def desk_pages(context: Context) -> Pages:
    """Offer the desk. Raises SettingsRejected where nobody said who may sign in."""
    pages = Pages(
        context,
        templates=_HERE / "templates",
        translations=_HERE / "translations",
        static=_HERE / "static",
        title=N_("Scheduling desk"),
    )
    desk = Desk(context, pages)

    @pages.router.get("/events")
    async def changes(http_request: Request, person: AtTheDesk) -> Response:
        """Tell which requests of the person's districts change: id and version, nothing else."""
        return event_stream(http_request, context.changes, person)

    for page in (queue, actions, appointment, request, day, visitors, policy, keys, disclosures):
        pages.router.include_router(page.routes(desk))
    return pages
