"""What a service answers when it can't do what was asked: a sentence for people, a problem document for programs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import fastapi
from fastapi import Response
from fastapi.responses import JSONResponse

from services.runtime.web.languages import N_

PROBLEM_JSON = "application/problem+json"


def wants_page(request: fastapi.Request) -> bool:
    """Tell a browser that shows what it gets from a program that reads it."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")


def is_htmx(request: fastapi.Request) -> bool:
    """Tell whether htmx asks, for a part of a page."""
    return request.headers.get("hx-request") == "true"


def problem_json(
    status: int, title: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Make an RFC 9457 problem document. `detail` says what to do and repeats nothing that was sent."""
    body = {"type": "about:blank", "title": title, "status": status, **({"detail": detail} if detail else {}), **more}
    return JSONResponse(body, status_code=status, media_type=PROBLEM_JSON, headers=dict(headers or {}))


def title_of(status: int) -> str:
    """Give the status's own words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Problem"


def problem_of(request: fastapi.Request, status: int, detail: str, **more: Any) -> Response:
    """Answer an error raised anywhere, in the reader's language where the service has pages."""
    pages = request.app.state.pages
    if pages is None:
        return problem_json(status, title_of(status), detail, **more)
    language = pages.language(request)
    title = language.gettext(_TITLES.get(status, title_of(status)))
    answer: Response = pages.problem(request, status, title, language.gettext(detail) if detail else "", **more)
    return answer


_TITLES = {
    401: N_("Sign in first"),
    403: N_("This is not allowed"),
    404: N_("There is nothing here"),
    405: N_("This can't be done here"),
    409: N_("Somebody was faster"),
    413: N_("This is too long"),
    415: N_("This is no form"),
    422: N_("Something needs correcting"),
    429: N_("This is too much at once"),
    500: N_("Something broke on our side"),
    503: N_("Not now; try again in a moment"),
}
