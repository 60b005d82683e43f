"""Which requests a person looks at, as it stands in the address: a view can be kept, sent and printed."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from fastapi import HTTPException, Request

from contracts.identities import microseconds
from services.scheduling.pages import words
from services.scheduling.rules.visits import Stage
from services.scheduling.rules.wording import N_
from services.scheduling.store.queue import NOBODY, Cursor, View

_CODE = re.compile(r"[A-Za-z0-9._-]{1,40}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
FILTERS = ("school", "grades", "language", "owner", "age", "interpreter", "promise")


def read_view(request: Request, districts: tuple[str, ...] | None) -> View:
    """Read the view from the address. Raises 422 for a value that no filter has."""
    given = {name: request.query_params.get(name, "") for name in ("stage", *FILTERS)}
    allowed = {
        "stage": given["stage"] in [stage.value for stage in Stage],
        "school": _CODE.fullmatch(given["school"]),
        "grades": given["grades"] in words.GRADE_BANDS,
        "language": _LANGUAGE.fullmatch(given["language"]),
        "owner": _CODE.fullmatch(given["owner"]),
        "age": given["age"] in words.AGES,
        "interpreter": given["interpreter"] == "yes",
        "promise": given["promise"] == "yes",
    }
    if any(value and not allowed[name] for name, value in given.items()):
        raise HTTPException(422, N_("No filter of the queue has this value; choose from the lists on the page."))
    return View(
        districts=districts,
        stage=given["stage"] or None,
        school=given["school"] or None,
        grade_band=given["grades"] or None,
        language=given["language"] or None,
        owner=given["owner"] or None,
        age=given["age"] or None,
        interpreter=bool(given["interpreter"]),
        promise=bool(given["promise"]),
    )


def parameters(view: View) -> dict[str, str]:
    """Write the view as an address does."""
    written = {
        "stage": view.stage,
        "school": view.school,
        "grades": view.grade_band,
        "language": view.language,
        "owner": view.owner,
        "age": view.age,
        "interpreter": "yes" if view.interpreter else None,
        "promise": "yes" if view.promise else None,
    }
    return {name: value for name, value in written.items() if value}


def address(view: View, path: str = "/queue", **changes: str | None) -> str:
    """Give the address of the view with some of it changed; None takes a filter off."""
    changed = {**parameters(view), **changes}
    query = urlencode({name: value for name, value in changed.items() if value})
    return f"{path}?{query}" if query else path


def read_cursor(text: str) -> Cursor | None:
    """Read where a page begins. Raises 422 for anything else."""
    if not text:
        return None
    pinned, _, rest = text.partition(".")
    points, _, rest = rest.partition(".")
    opened_at, _, request_id = rest.partition(".")
    try:
        if pinned not in ("0", "1") or not -(2**31) <= int(points) < 2**31:
            raise ValueError
        return Cursor(
            pinned=pinned == "1",
            points=int(points),
            opened_at=_EPOCH + timedelta(microseconds=int(opened_at)),
            request_id=UUID(request_id),
        )
    except (ValueError, OverflowError):
        raise HTTPException(422, N_("This page of the queue can't be found; begin at the first.")) from None


def write_cursor(cursor: Cursor) -> str:
    """Write where the next page begins."""
    return f"{int(cursor.pinned)}.{cursor.points}.{microseconds(cursor.opened_at)}.{cursor.request_id}"


__all__ = ["NOBODY", "address", "parameters", "read_cursor", "read_view", "write_cursor"]
