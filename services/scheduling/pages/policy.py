"""The district's policy: everybody at the desk reads it, the coordinator decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from services.runtime.web.forms import Fault, Form, bounds_of, read_form
from services.runtime.web.people import Person
from services.scheduling.commands import carry_out
from services.scheduling.handlers.policies import (
    DecidePolicy,
    DistrictUnknown,
    StalePolicy,
    decide_policy,
    policies_of,
)
from services.scheduling.pages import log_fields
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here
from services.scheduling.pages.forms import NOTHING_TRIED, Attempt, kept, read, typed
from services.scheduling.rules import visits
from services.scheduling.rules.policy import DEFAULT, DistrictPolicy
from services.scheduling.rules.wording import N_

NUMBERS: Sequence[tuple[str, str]] = (
    ("first_contact_days", N_("First contact, within school days")),
    ("agreed_days", N_("Visit agreed, within school days")),
    ("tries", N_('Tries before "not reached"')),
    ("decline_days", N_("A decline is respected for days")),
    ("follow_up_days", N_("Follow-up after days")),
    ("undo_minutes", N_("Undo is possible for minutes")),
    ("min_notice_hours", N_("A visit is agreed ahead by hours")),
    ("visit_minutes", N_("Length of a visit in minutes")),
    ("travel_minutes", N_("Travel between visits in minutes")),
    ("weekly_cap", N_("Visits of a visitor a week")),
    ("earliest_hour", N_("Visits begin at, hour")),
    ("latest_hour", N_("Visits end by, hour")),
)
WEIGHTS: Sequence[tuple[str, str]] = (
    ("rate", N_("for each tenth of a percent of days missed")),
    ("recent", N_("for each absence of the last 20 days")),
    ("worsening", N_("for each absence more than in the 20 days before")),
    ("spell", N_("for each day missed in a row up to now")),
    ("chronic_last_year", N_("chronically absent last year")),
    ("transition", N_("kindergarten, grade 6 or 9, or new to the district")),
    ("sibling", N_("for each further flagged child of the family")),
    ("waiting", N_("for each school day beyond the target")),
)
LONGEST = 256 * 1024
"""Bytes of the form: twenty fields, each with its choices, are longer than any other form here."""
WEIGHT = "weight_"
"""What the form's name of a weight begins with."""
ABSENCE: Sequence[tuple[str, str]] = (
    ("min_enrolled_days", N_("Days enrolled before 10 %% and 20 %% are asked for")),
    ("early_absences", N_("Absences that are a beginning")),
    ("early_days", N_("Within how many first days of the student")),
)
LOG: Sequence[tuple[str, str]] = (("log_due_business_days", N_("A log is due within weekdays after the visit")),)
SWITCHES: Mapping[str, Mapping[str, str]] = {
    "absence": {
        "early_warning": N_("Flag who begins to miss school, before 10 %% are missed"),
        "fractions_of_a_day": N_("Show parts of days missed too (here only, never the state's figure)"),
        "in_school_suspension_is_absence": N_(
            "Show in-school suspension as missed too (here only, never the state's figure)"
        ),
    },
    "desk": {
        "summer_requests": N_("In summer, last year's flags open requests until the new year's first complete roll"),
    },
    "log": {"short_first_visit": N_("A first visit has a short log")},
}
ACCUMULATORS: Mapping[str, str] = {
    "district": N_("all schools of the district together"),
    "school": N_("each school by itself"),
}
# The form's names are flat: a number of the desk is called as before there were other parts.
_NAMES = {
    **{f"desk.{name}": name for name, _ in NUMBERS},
    **{f"desk.weights.{name}": WEIGHT + name for name, _ in WEIGHTS},
    **{f"absence.{name}": name for name in (*(name for name, _ in ABSENCE), "accumulator")},
    **{f"log.{name}": name for name, _ in LOG},
    **dict.fromkeys(("log.resources", "log.resources.*"), "resources"),
    "log.extra_fields": log_fields.LIST,
    **{f"{part}.{name}": name for part, switches in SWITCHES.items() for name in switches},
}
# Where on the form it is corrected what only the command can refuse.
_FIELD_BY_REFUSAL = {
    "no_school_that_day": "effective_from",
    "weights_against_order": WEIGHT + "worsening",
    "hours_order": "latest_hour",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Typed:
    """A form that did not decide anything, as it was typed."""

    attempt: Attempt
    fields: Sequence[log_fields.Row]


def routes(desk: Desk) -> APIRouter:
    """Offer the policy's page."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/policy")
    async def show_policy(request: Request, person: AtTheDesk) -> Response:
        """Show the standing policy of a district."""
        return await _page(desk, request, person, _district(desk, request.query_params.get("district"), person))

    @router.post("/policy")
    async def change_policy(request: Request, person: AtTheDesk) -> Response:
        """Make the next version of the policy; or show the form with one more field of the log, and decide nothing."""
        form = await read_form(request, max_bytes=LONGEST)
        district = _district(desk, form.get("district").strip(), person)
        newest, _ = await _policies(desk, person, district)
        rows = log_fields.rows_typed(form, newest.log.extra_fields)
        if _one_more(request):
            asked = _Typed(attempt=Attempt(form="policy", kept=kept(form)), fields=rows)
            return await _page(desk, request, person, district, typed_in=asked)
        decided, faults = _read(form, rows, newest)
        attempt, status = Attempt(form="policy", kept=kept(form), faults=faults), 422
        if decided is not None:
            try:
                await carry_out(desk.context, person, decide_policy, district, decided)
                return RedirectResponse(f"/policy?district={district}&said=saved", status_code=303)
            except visits.Refusal as refusal:
                attempt, status = _failed(desk, request, refusal, attempt, decided)
        refused = _Typed(attempt=attempt, fields=rows)
        return await _page(desk, request, person, district, typed_in=refused, status=status)

    return router


def _district(desk: Desk, asked: str | None, person: Person) -> str:
    districts = desk.districts_of(person) or ()
    district = asked or (districts[0] if districts else "")
    if not district or not person.may_see(district):
        raise nothing_here()
    return district


def _one_more(request: Request) -> bool:
    return request.query_params.get("more") == "field"


def _read(
    form: Form, rows: Sequence[log_fields.Row], newest: DistrictPolicy
) -> tuple[DecidePolicy | None, tuple[Fault, ...]]:
    reading = read(DecidePolicy, form, names=_NAMES, given=_given(form, rows, newest))
    if reading.value is None:
        return None, log_fields.in_their_rows(reading.faults, rows)
    faults = log_fields.contradictions(reading.value.log.extra_fields, rows)
    return (None if faults else reading.value), faults


def _failed(
    desk: Desk, request: Request, refusal: visits.Refusal, attempt: Attempt, decided: DecidePolicy
) -> tuple[Attempt, int]:
    said = desk.say(request, refusal)
    if isinstance(refusal, visits.NotAllowed):
        return Attempt(form="policy", refusal=said), 403
    if isinstance(refusal, StalePolicy):
        gettext = desk.pages.language(request).gettext
        return replace(attempt, refusal=said, stale=True, both=_both(refusal.current, decided, gettext)), 409
    if isinstance(refusal, visits.NotPossible) and refusal.code in _FIELD_BY_REFUSAL:
        fault = Fault(_FIELD_BY_REFUSAL[refusal.code], refusal.msgid, refusal.values)
        return replace(attempt, faults=(fault,)), 422
    return replace(attempt, refusal=said), 422


def _given(form: Form, rows: Sequence[log_fields.Row], newest: DistrictPolicy) -> dict[str, Any]:
    """Read the parts: a number that is emptied is wrong, whatever its default; a box says yes or no."""
    ticked = {part: {name: form.get(name) == "yes" for name in switches} for part, switches in SWITCHES.items()}
    numbers = {"absence": ABSENCE, "desk": NUMBERS, "log": LOG}
    given = {part: {**typed(form, *(name for name, _ in numbers[part])), **ticked[part]} for part in numbers}
    return {
        "absence": {**given["absence"], "accumulator": form.get("accumulator")},
        "desk": {**given["desk"], "weights": {name: form.get(WEIGHT + name).strip() for name, _ in WEIGHTS}},
        "log": {
            **given["log"],
            "resources": form.get("resources").replace(",", " ").split(),
            "extra_fields": log_fields.fields_in(rows, newest.log.extra_fields),
        },
        # Decided by `leap policy set`, after the district's lawyers: the page keeps what stands.
        "retention": newest.retention.model_dump(),
    }


def _both(standing: DistrictPolicy, decided: DecidePolicy, say: Callable[[str], str]) -> list[tuple[str, str, str]]:
    pairs = [
        (text, getattr(getattr(standing, part), name), getattr(getattr(decided, part), name))
        for part, fields in (
            ("absence", (*ABSENCE, *SWITCHES["absence"].items())),
            ("desk", (*NUMBERS, *SWITCHES["desk"].items())),
            ("log", (*LOG, *SWITCHES["log"].items())),
        )
        for name, text in fields
    ]
    pairs += [
        (text, getattr(standing.desk.weights, name), getattr(decided.desk.weights, name)) for name, text in WEIGHTS
    ]
    pairs += [
        (text, shown(standing), shown(decided))
        for text, shown in (
            (N_("Days are counted over"), lambda each: say(ACCUMULATORS[each.absence.accumulator])),
            (N_("Resources that visitors can offer"), lambda each: ", ".join(each.log.resources)),
            (N_("Further fields of the log"), lambda each: log_fields.in_one_line(each.log.extra_fields, say)),
            # Without a day of yours it is the next one, which nobody chose.
            (N_("In force from school day"), lambda each: decided.effective_from and each.effective_from),
        )
    ]
    return [(text, _said(now), _said(yours)) for text, now, yours in pairs if now != yours]


def _said(value: object) -> str:
    return ("✓" if value else "–") if isinstance(value, bool) else str(value)


async def _policies(desk: Desk, person: Person, district: str) -> tuple[DistrictPolicy, DistrictPolicy]:
    async with desk.context.begin() as tx:
        try:
            return await policies_of(tx, district=district, person=person, day=desk.today(desk.now()))
        except DistrictUnknown:
            raise nothing_here() from None


async def _page(
    desk: Desk,
    request: Request,
    person: Person,
    district: str,
    *,
    typed_in: _Typed | None = None,
    status: int = 200,
) -> Response:
    policy, in_force = await _policies(desk, person, district)
    attempt = typed_in.attempt if typed_in else NOTHING_TRIED
    kept = attempt.kept
    fields = list(typed_in.fields) if typed_in and kept else log_fields.rows_of(policy.log.extra_fields)
    return desk.render(
        request,
        "policy.html",
        {
            "policy": policy,
            "version": _version_read(policy, attempt),
            "in_force": in_force,
            "waits": policy.effective_from > desk.today(desk.now()),
            "default": DEFAULT,
            "district": district,
            "districts": desk.districts_of(person) or (),
            "attempt": attempt,
            "effective_from": kept.get("effective_from", ""),
            "absence": _shown(ABSENCE, policy.absence, kept),
            "accumulators": ACCUMULATORS,
            "accumulator": kept.get("accumulator", policy.absence.accumulator),
            "numbers": _shown(NUMBERS, policy.desk, kept),
            "weights": _shown(WEIGHTS, policy.desk.weights, kept, WEIGHT),
            "log": _shown(LOG, policy.log, kept),
            "resources": kept.get("resources", ", ".join(policy.log.resources)),
            "extra_fields": [*fields, *([log_fields.BLANK] if _one_more(request) else [])],
            "most_fields": log_fields.MOST,
            "kinds": log_fields.KINDS,
            "adding": _one_more(request),
            "switches": {
                part: [
                    {"name": name, "text": text, "on": name in kept if kept else getattr(getattr(policy, part), name)}
                    for name, text in switches.items()
                ]
                for part, switches in SWITCHES.items()
            },
            "may_decide": person.role == "coordinator",
        },
        status,
    )


def _version_read(policy: DistrictPolicy, attempt: Attempt) -> Any:
    """Give the version that the form replaces: the one that was read with it, until its reader was shown another.

    The newest would do away unseen with what somebody decided while this form was being corrected.
    """
    if attempt.stale or any(fault.field == "version" for fault in attempt.faults):
        return policy.version
    return attempt.kept.get("version", policy.version)


def _shown(
    fields: Sequence[tuple[str, str]], standing: BaseModel, kept: Mapping[str, Any], prefix: str = ""
) -> list[dict[str, Any]]:
    return [
        {
            "name": prefix + name,
            "text": text,
            "value": kept.get(prefix + name, getattr(standing, name)),
            **bounds_of(type(standing), (name,)),
        }
        for name, text in fields
    ]
