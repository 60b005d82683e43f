"""What is answered when something can't be done: a sentence in the person's language, and both sides of a conflict."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from services.runtime.web.languages import N_
from services.runtime.web.problems import problem_of
from services.visitlog.handlers.access import NotYours
from services.visitlog.handlers.office import ChangedMeanwhile
from services.visitlog.rules import outcomes

LARGEST_BODY = 256 * 1024

_STATUS_BY_REFUSAL: dict[type[outcomes.Refusal], int] = {
    outcomes.VisitUnknown: 404,
    outcomes.LogUnknown: 404,
    NotYours: 404,
    outcomes.WordsNotKept: 410,
    outcomes.LogDiffers: 409,
    outcomes.VisitLogged: 409,
    outcomes.ReferralBackwards: 409,
    ChangedMeanwhile: 409,
    outcomes.LogInvalid: 422,
}


def explained(request: Request, refusal: outcomes.Refusal) -> Response:
    """Answer a refusal in the reader's language; a conflict shows both sides."""
    more: dict[str, Any] = {"error": type(refusal).__name__}
    if isinstance(refusal, outcomes.LogDiffers):
        more |= {"standing": refusal.standing, "sent": refusal.sent}
    if isinstance(refusal, outcomes.VisitLogged):
        more |= {"log_id": str(refusal.log_id)}
    return problem_of(request, _STATUS_BY_REFUSAL[type(refusal)], str(refusal), **more)


class ExplainingRoute(APIRoute):
    """A route whose 4xx say what to do, and never repeat what was sent: it may name a family."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route: refusals become sentences, and nobody sends more than a log can hold."""
        inner = super().get_route_handler()

        async def explain(request: Request) -> Response:
            length = request.headers.get("content-length", "0")
            if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > LARGEST_BODY:
                raise HTTPException(413, N_("this is longer than any log; send less"))
            try:
                return await inner(request)
            except outcomes.Refusal as refusal:
                return explained(request, refusal)

        return explain
