"""By which policy students are counted: the standard one for the state, a district's own on its own pages."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.reporting.rules.measures import MINIMUM_ENROLLED_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """From how many enrolled days on a student counts. Version 0 is the standard policy, which nobody decided."""

    version: int = 0
    effective_from: date | None = None
    minimum_enrolled: int = MINIMUM_ENROLLED_DAYS


STANDARD = Policy()


def in_force(policies: Iterable[Policy], *, on: date) -> Policy:
    """Choose the largest version whose day has come; before the first one, the standard policy."""
    begun = [each for each in policies if each.effective_from is not None and each.effective_from <= on]
    return max(begun, key=lambda each: each.version, default=STANDARD)


def as_document(policy: Policy) -> dict[str, Any]:
    """Make the JSON of it."""
    return {
        "version": policy.version,
        "effective_from": policy.effective_from,
        "minimum_enrolled_days": policy.minimum_enrolled,
    }
