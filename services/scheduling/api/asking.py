"""Who asks, and about what: what the routes under /v1 have in common."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query

from contracts.events.envelope import District
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in
from services.scheduling.rules import bounds

Who = Annotated[Person, Depends(signed_in)]
InDistrict = Annotated[District, Query()]
InAnyDistrict = Annotated[District | None, Query()]
Day = Annotated[bounds.Day, Query()]
VisitorId = Annotated[bounds.VisitorId, Path()]


def _nothing() -> None: ...


SUBJECTS = {
    "": Annotated[None, Depends(_nothing)],
    "request_id": Annotated[UUID, Path(alias="request_id")],
    "visitor_id": Annotated[bounds.VisitorId, Path(alias="visitor_id")],
    "district": Annotated[District, Path(alias="district")],
    "person_key": Annotated[UUID, Path(alias="person_key")],
}
"""What a command may be about, by the name it has in an address."""


def districts_of(person: Person, district: str | None = None) -> list[str] | None:
    """Name the districts a list may show: the one asked for, if it is theirs, or all of theirs; None: any."""
    if district is not None:
        return [district] if person.may_see(district) else []
    return None if person.sees_everything else sorted(person.scopes)
