"""Who may ask what, and whose rows each is shown: every route of every service, once.

This table is the rule itself. A service looks each request up in it and refuses whoever is not named (404 on a page,
403 under /v1); what it shows is bounded by it once more, in PostgreSQL; a route that is not here keeps its service from
starting. `access.md` is written from it, and the tests try everything it says and doesn't say.
"""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What somebody is to the programme; the people file says who is what, and in which districts."""

    SCHEDULER = "scheduler"
    VISITOR = "visitor"
    COORDINATOR = "coordinator"
    DISTRICT = "district"
    RESC = "resc"
    STATE = "state"
    AUDITOR = "auditor"
    OPERATIONS = "operations"
    ANYBODY = "anybody"
    """Nobody is asked to sign in."""


class Scope(StrEnum):
    """What a route shows to a role."""

    DISTRICTS = "districts"
    OWN_VISITS = "own visits"
    COUNTS = "counts"
    PUBLISHED = "published"
    NOTHING = "nothing"
    TOKEN = "token"

    @property
    def shows_rows(self) -> bool:
        """Say whether rows are read for it, of the person's districts; for the others PostgreSQL gives none."""
        return self in (Scope.DISTRICTS, Scope.OWN_VISITS, Scope.COUNTS)


WORDS = {
    Scope.DISTRICTS: "rows and counts of the person's own districts, whole",
    Scope.OWN_VISITS: "of their districts, the visits that the person makes, and their own hours",
    Scope.COUNTS: "how many records there are, to reconcile the services; no row",
    Scope.PUBLISHED: "released figures, frozen at their cut-off, small ones hidden; no row",
    Scope.NOTHING: "nothing about anybody",
    Scope.TOKEN: "what the district itself sent, to whoever has its token",
}

Rule = Mapping[str, Scope]
"""Which roles may use a route, and what it shows each."""

Access = Mapping[str, Rule]
"""The routes of one service, as "METHOD /path"."""

_EVERY_ROLE: tuple[str, ...] = tuple(role for role in Role if role is not Role.ANYBODY)

_OPEN: Rule = {Role.ANYBODY: Scope.NOTHING}
_SENDERS: Rule = {Role.ANYBODY: Scope.TOKEN}
_MACHINES: Rule = {Role.OPERATIONS: Scope.COUNTS}

_DESK: Rule = {Role.SCHEDULER: Scope.DISTRICTS, Role.COORDINATOR: Scope.DISTRICTS}
_DESK_SAYS_NOTHING: Rule = {Role.SCHEDULER: Scope.NOTHING, Role.COORDINATOR: Scope.NOTHING}
_DESK_AND_WHO_GOES: Rule = {**_DESK, Role.VISITOR: Scope.OWN_VISITS}
_DESK_AND_OPERATIONS: Rule = {**_DESK, Role.DISTRICT: Scope.DISTRICTS, **_MACHINES}
_COORDINATES: Rule = {Role.COORDINATOR: Scope.DISTRICTS}
# A policy and how a district stands are its own business, and what its numbers are judged by.
_DISTRICTS_OWN_STAFF: Rule = {**_DESK, Role.DISTRICT: Scope.DISTRICTS}
_STATUS: Rule = {**_DISTRICTS_OWN_STAFF, Role.OPERATIONS: Scope.DISTRICTS}

_WHO_WENT: Rule = {Role.VISITOR: Scope.OWN_VISITS, Role.COORDINATOR: Scope.DISTRICTS}
_EXPECTED: Rule = {**_WHO_WENT, Role.SCHEDULER: Scope.DISTRICTS, Role.DISTRICT: Scope.DISTRICTS}
# Who read what of a family, and what is held of it: for whoever answers a family that asks.
_ANSWERS: Rule = {Role.COORDINATOR: Scope.DISTRICTS, Role.AUDITOR: Scope.DISTRICTS}

# A child's days: whoever works with the family, and whoever answers for how the rule was applied.
_A_CHILD: Rule = {
    Role.SCHEDULER: Scope.DISTRICTS,
    Role.COORDINATOR: Scope.DISTRICTS,
    Role.DISTRICT: Scope.DISTRICTS,
    Role.AUDITOR: Scope.DISTRICTS,
}

_OWN_NUMBERS: Rule = {Role.COORDINATOR: Scope.DISTRICTS, Role.DISTRICT: Scope.DISTRICTS}
_RELEASED: Rule = dict.fromkeys(_EVERY_ROLE, Scope.PUBLISHED)
_WAY_IN: Rule = {**dict.fromkeys(_EVERY_ROLE, Scope.NOTHING), **_OWN_NUMBERS}


def _each(rule: Rule, *routes: str) -> Access:
    return dict.fromkeys(routes, rule)


# What every service has, and every one with pages.
OF_ALL = _each(dict.fromkeys(_EVERY_ROLE, Scope.NOTHING), "GET /openapi.json")
OF_PAGES = _each(
    _OPEN,
    "GET /sign-in",
    "POST /sign-in",
    "GET /sign-in/with/{provider}",
    "GET /sign-in/back",
    "POST /sign-out",
    "GET /sign-out/with/{provider}",
    "POST /language",
    "GET /static/{path:path}",
)

_OF_ANSWERS = _each(
    _ANSWERS, "GET /v1/disclosures", "GET /v1/disclosures.csv", "GET /v1/households/{household_key}/held"
)

ROUTES: Mapping[str, Access] = {
    "ingest": {
        **OF_ALL,
        **_each(
            _SENDERS,
            "POST /v1/districts/{district}/attendance",
            "POST /v1/districts/{district}/roster",
            "GET /v1/receipts/{receipt}",
        ),
        **_each(_MACHINES, "GET /v1/counts"),
    },
    "flagging": {
        **OF_ALL,
        **_each(_A_CHILD, "GET /v1/students/{student_key}/absence"),
        **_each(_COORDINATES, "GET /v1/claims"),
        **_OF_ANSWERS,
        **_each(_MACHINES, "GET /v1/counts"),
    },
    "scheduling": {
        **OF_ALL,
        **OF_PAGES,
        **_each(_DESK_SAYS_NOTHING, "GET /", "GET /help", "POST /shortcuts", "GET /events"),
        **_each(
            _DESK,
            "GET /queue",
            "GET /queue/rows",
            "POST /search",
            "GET /day",
            "GET /policy",
            "POST /policy",
            "GET /visitors",
            "GET /visitors/new",
            "GET /visitors/{visitor_id}",
            "POST /visitors",
            "GET /visits/{visit_id}/letter",
            "POST /requests/next",
            "GET /requests/{request_id}",
            "GET /requests/{request_id}/version",
            "GET /requests/{request_id}/household-sheet",
            "GET /requests/{request_id}/appointment",
            "POST /requests/{request_id}/appointment",
            "POST /requests/{request_id}/pairs",
            "POST /requests/{request_id}/cancellation",
            "POST /requests/{request_id}/claim",
            "POST /requests/{request_id}/close",
            "POST /requests/{request_id}/confirmation",
            "POST /requests/{request_id}/contact",
            "POST /requests/{request_id}/release",
            "POST /requests/{request_id}/reopening",
            "POST /requests/{request_id}/take-over",
            "POST /requests/{request_id}/undo",
            "GET /v1/requests",
            "GET /v1/requests/{request_id}",
            "GET /v1/requests/{request_id}/pairs",
            "POST /v1/requests/next/claim",
            "POST /v1/requests/{request_id}/answer",
            "POST /v1/requests/{request_id}/appointment",
            "POST /v1/requests/{request_id}/cancellation",
            "POST /v1/requests/{request_id}/claim",
            "POST /v1/requests/{request_id}/closing",
            "POST /v1/requests/{request_id}/confirmation",
            "POST /v1/requests/{request_id}/contact-disclosure",
            "POST /v1/requests/{request_id}/release",
            "POST /v1/requests/{request_id}/reopening",
            "POST /v1/requests/{request_id}/reschedule",
            "POST /v1/requests/{request_id}/take-over",
            "POST /v1/requests/{request_id}/undo",
            "PUT /v1/requests/{request_id}/offered-times",
            "GET /v1/missing-logs",
            "GET /v1/proposals",
            "GET /v1/visitors",
            "GET /v1/visitors/{visitor_id}",
            "POST /v1/visitors",
            "PUT /v1/visitors/{visitor_id}/exclusions/{household_key}",
            "DELETE /v1/visitors/{visitor_id}/exclusions/{household_key}",
        ),
        **_each(
            _DESK_AND_WHO_GOES,
            "GET /v1/day-sheet",
            "GET /v1/visits/{visit_id}/confirmation",
            "PUT /v1/visitors/{visitor_id}/availability",
        ),
        **_each(_DESK_AND_OPERATIONS, "GET /v1/counts"),
        **_each(_DISTRICTS_OWN_STAFF, "GET /v1/policies/{district}"),
        **_each(_COORDINATES, "PUT /v1/policies/{district}", "PUT /v1/transfers/{person_key}"),
        **_each(_STATUS, "GET /v1/districts/{district}/status"),
        **_each({**_COORDINATES, Role.OPERATIONS: Scope.DISTRICTS}, "PUT /v1/districts/{district}/status"),
        **_OF_ANSWERS,
        **_each(_ANSWERS, "GET /disclosures", "POST /disclosures/find", "POST /v1/households/sought"),
    },
    "visitlog": {
        **OF_ALL,
        **OF_PAGES,
        **_each(_OPEN, "GET /service-worker.js", "GET /manifest.webmanifest", "GET /offline"),
        **_each(
            _WHO_WENT,
            "GET /",
            "GET /visits/{visit}",
            "POST /visits/{visit}/safety",
            "POST /visits/{visit}/safe",
            "GET /visits/{visit}/log",
            "POST /visits/{visit}/logs/{client}",
            "PUT /visits/{visit}/logs/{client}",
            "GET /logs/{log}",
            "POST /logs/{log}/amendments",
            "POST /logs/{log}/referrals/{referral}",
            "GET /v1/visit-logs/{client_id}",
            "PUT /v1/visit-logs/{client_id}",
            "POST /v1/visit-logs/{client_id}/amendments",
            "POST /v1/visit-logs/{client_id}/referrals/{referral_id}",
            "GET /v1/log-policies/{district}",
            "GET /phone-key",
        ),
        **_each(_EXPECTED, "GET /v1/expected-logs"),
        **_each(
            _COORDINATES,
            "GET /office",
            "POST /office/rates",
            "GET /v1/integrity",
            "GET /v1/payroll.csv",
            "GET /v1/pay-rates",
            "POST /v1/pay-rates",
        ),
        **_OF_ANSWERS,
        **_each(_ANSWERS, "GET /disclosures"),
        **_each({**_OWN_NUMBERS, **_MACHINES}, "GET /v1/counts"),
    },
    "reporting": {
        **OF_ALL,
        **OF_PAGES,
        **_each(_WAY_IN, "GET /"),
        **_each(
            _RELEASED,
            "GET /state",
            "GET /resc",
            "GET /charts/published/{name}.svg",
            "GET /v1/measures",
            "GET /v1/published",
            "GET /v1/published/{name}",
            "GET /v1/published/{name}.csv",
            "GET /v1/effect",
            "GET /v1/effect.csv",
        ),
        **_each(
            _OWN_NUMBERS,
            "GET /districts",
            "GET /districts/{district}",
            "GET /districts/{district}/schools/{school}",
            "GET /charts/districts/{district}/{name}.svg",
            "GET /charts/districts/{district}/schools/{school}/{name}.svg",
            "GET /v1/districts/{district}/{name}",
            "GET /v1/districts/{district}/{name}.csv",
            "GET /v1/districts/{district}/schools/{school}/{name}",
            "GET /v1/districts/{district}/schools/{school}/{name}.csv",
            "GET /v1/funnel",
        ),
        **_OF_ANSWERS,
        **_each(_MACHINES, "GET /v1/counts"),
    },
}


def document() -> str:
    """Write the table for people: for each route the roles that may use it, and what it shows them."""
    lines = [
        "# Who may ask what",
        "",
        "Written by `make contracts` from [access.py](access.py), which is also what the services go by. Whoever is",
        "not named is refused: 404 on a page, 403 under `/v1`. What lies in another district is answered with 404.",
        "",
        "| Shown | Means |",
        "|---|---|",
        *(f"| {scope} | {said} |" for scope, said in WORDS.items()),
        "",
        "Metrics, liveness and readiness are on a port of their own, for machines: see the README.",
    ]
    for service, access in ROUTES.items():
        lines += ["", f"## {service}", "", "| Route | Who: what is shown |", "|---|---|"]
        lines += [f"| `{at}` | {_said(rule)} |" for at, rule in sorted(access.items(), key=_by_address)]
    return "\n".join(lines) + "\n"


def _by_address(entry: tuple[str, Rule]) -> tuple[str, str]:
    method, _, path = entry[0].partition(" ")
    return path, method


def _said(rule: Rule) -> str:
    roles_by_scope: dict[Scope, list[str]] = {}
    for role in Role:
        if role in rule:
            roles_by_scope.setdefault(rule[role], []).append(role)
    told = []
    for scope, roles in roles_by_scope.items():
        everybody = len(roles) == len(_EVERY_ROLE)
        told.append(f"{'everybody who is signed in' if everybody else ', '.join(roles)}: {scope}")
    return "; ".join(told)
