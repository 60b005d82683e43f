"""The history of a request in words: who did what, when, and what it led to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.scheduling.pages import words
from services.scheduling.rules.wording import N_

WHATS: Mapping[str, str] = {
    "opened": N_("A flag opened the request"),
    "joined": N_("Another child of the family was flagged"),
    "flag_raised": N_("A flag was raised again"),
    "flag_cleared": N_("The last flag was cleared"),
    "withdrawn": N_("Withdrawn: no flag is left"),
    "claimed": N_("Claimed"),
    "taken_over": N_("Taken over"),
    "released": N_("Released"),
    "contacted": N_("Contact with the family"),
    "appointed": N_("A visit was agreed"),
    "rescheduled": N_("The visit was moved"),
    "cancelled": N_("The visit was cancelled"),
    "confirmed": N_("The visit was confirmed"),
    "unconfirmed": N_("The confirmation was taken back"),
    "offered": N_("The family named times"),
    "visited": N_("The visit took place"),
    "logged": N_("The visit was logged"),
    "visit_attempted": N_("The visitors were there; no visit took place"),
    "follow_up_due": N_("The follow-up is due"),
    "closed": N_("Closed"),
    "reopened": N_("Reopened"),
    "undone": N_("Undone"),
}
ANSWERS: Mapping[str, str] = {
    "agreed": N_("Agreed to a visit"),
    "community": N_("Agreed, in a community place"),
    "later": N_("Later"),
    "phone": N_("Phone instead"),
    "declined": N_("Declined"),
    "moved": N_("Moved"),
    "not_reached": N_("Not reached"),
}
TAKE_OVER_REASONS: Mapping[str, str] = {
    "holder_away": N_("the holder is away"),
    "agreed_with_holder": N_("agreed with the holder"),
    "family_waits": N_("the family waits for a call"),
    "other": N_("another reason"),
}
WISHED_BY: Mapping[str, str] = {"family": N_("the family wishes it"), "coordinator": N_("the coordinator wishes it")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One line of the history: sentences to translate, in their order."""

    version: int
    what: str
    said: tuple[str, ...]
    actor: str | None
    at: datetime
    from_stage: str | None
    to_stage: str


def told(rows: list[dict[str, Any]]) -> list[Happened]:
    """Put the history into words, newest first."""
    return [
        Happened(
            version=row["version"],
            what=row["what"],
            said=said(row["what"], row["detail"]),
            actor=row["actor"],
            at=row["at"],
            from_stage=row["from_stage"],
            to_stage=row["to_stage"],
        )
        for row in reversed(rows)
    ]


def said(what: str, detail: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what happened, or would have: the change, then what it was about, by the names that its form has too."""
    return WHATS.get(what, what), *_details(what, detail)


def _details(what: str, detail: Mapping[str, Any]) -> list[str]:
    if what == "contacted":
        found = [words.WAYS.get(detail.get("way", "")), ANSWERS.get(detail.get("answer", ""))]
    elif what == "taken_over":
        found = [TAKE_OVER_REASONS.get(detail.get("reason", ""))]
    elif what == "closed":
        found = [words.CLOSED_BECAUSE.get(detail.get("because", ""))]
    elif what == "reopened":
        found = [WISHED_BY.get(detail.get("wished_by", ""))]
    elif what == "undone":
        found = [WHATS.get(detail.get("undone", ""))]
    else:
        found = []
    return [text for text in found if text]
