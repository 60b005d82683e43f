"""What a program hears when something can't be done: a problem document in the person's language, with both values."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute

from services.runtime.web.pages import language_of
from services.runtime.web.problems import problem_json
from services.scheduling.api.shown import request_shown, visitor_shown
from services.scheduling.handlers.policies import StalePolicy
from services.scheduling.handlers.visitors import VisitorChanged
from services.scheduling.rules import visits
from services.scheduling.rules.pairing import AppointmentRefused, spoken
from services.scheduling.rules.wording import N_, say

_STATUS_BY_CODE = {
    "request_unknown": 404,
    "visitor_unknown": 404,
    "visit_unknown": 404,
    "district_unknown": 404,
    "not_allowed": 403,
    "stale_version": 409,
    "stale_policy": 409,
    "stale_status": 409,
    "visitor_changed": 409,
    "held_by_another": 409,
    "open_request_exists": 409,
}
_TITLE_BY_STATUS = {
    403: N_("This is not allowed"),
    404: N_("There is nothing here"),
    409: N_("Somebody was faster"),
    422: N_("Something needs correcting"),
}


def explained(request: Request, refusal: visits.Refusal, sent: Any = None) -> Response:
    """Make the problem document of a refusal: a code to act on, a sentence to read, and what stands now."""
    status = _STATUS_BY_CODE.get(refusal.code, 422)
    translate = language_of(request).gettext
    more: dict[str, Any] = {"code": refusal.code, "values": refusal.values}
    if isinstance(refusal, visits.HeldByAnother):
        more |= {"claimed_by": refusal.claimed_by, "claimed_until": refusal.claimed_until}
    if isinstance(refusal, visits.StaleVersion):
        more |= {
            "yours": sent if isinstance(sent, dict) else {"version": refusal.yours},
            "current_version": refusal.request.version,
            "current": request_shown(refusal.request),
        }
    if isinstance(refusal, StalePolicy):
        more |= {"yours": sent, "current": refusal.current.model_dump()}
    if isinstance(refusal, VisitorChanged):
        more |= {
            "yours": {"version": refusal.yours},
            "current": refusal.visitor and visitor_shown(refusal.visitor),
        }
    if isinstance(refusal, AppointmentRefused):
        more["reasons"] = [
            {"code": each.code, "values": each.values, "says": say(translate(each.msgid), spoken(each))}
            for each in refusal.reasons
        ]
    detail = say(translate(refusal.msgid), refusal.values)
    title = translate(_TITLE_BY_STATUS[status])
    return problem_json(status, title, detail, **jsonable_encoder(more))


class ExplainingRoute(APIRoute):
    """A route whose refusals become problem documents."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        inner = super().get_route_handler()

        async def explain(request: Request) -> Response:
            try:
                return await inner(request)
            except (visits.StaleVersion, StalePolicy) as refusal:
                # Both values: what was sent has been checked, and is given back for a second look.
                return explained(request, refusal, await request.json())
            except visits.Refusal as refusal:
                return explained(request, refusal)

        return explain
