"""Who may see which edition of the reports.

Own: live and whole, for a coordinator or a district's own staff, in their district. Published: frozen and suppressed,
for everybody who signs in; a RESC sees its districts side by side, the others all of them. Operations alone reads the
counts of the projections, to reconcile them with the services that own the facts.
"""

from collections.abc import Iterable

from fastapi import HTTPException

from services.runtime.web.people import Person

OWN_ROLES = frozenset({"coordinator", "district"})
REGIONAL_ROLES = frozenset({"resc"})


def require_own(person: Person, district: str) -> None:
    """Answer 404 unless the district is the person's own: that another exists is knowledge too."""
    if person.role not in OWN_ROLES or not person.may_see(district):
        raise HTTPException(404)


def own_districts(person: Person, known: Iterable[str]) -> list[str]:
    """Name the districts whose own numbers the person may see."""
    return [district for district in known if person.role in OWN_ROLES and person.may_see(district)]


def published_districts(person: Person) -> frozenset[str] | None:
    """Name the districts whose published lines the person sees; None for all."""
    if person.role in REGIONAL_ROLES and not person.sees_everything:
        return person.scopes
    return None
