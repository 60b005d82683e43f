"""What people read: the words for a log's codes, and for the languages that families speak."""

from datetime import date
from typing import Any

from fastapi import Request

from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person

WORDS = {
    "outcomes": {
        "took_place": N_("It took place"),
        "family_not_home": N_("Nobody was home"),
        "rescheduled_at_the_door": N_("Another day was agreed at the door"),
        "declined_today": N_("Not today, the family said"),
        "unsafe_left": N_("It did not feel safe, we left"),
    },
    "places": {"home": N_("At home"), "community": N_("In a community space")},
    "participants": {
        "mother": N_("Mother"),
        "father": N_("Father"),
        "guardian": N_("Guardian"),
        "grandparent": N_("Grandparent"),
        "student": N_("Student"),
        "sibling": N_("Sibling"),
        "other": N_("Somebody else"),
    },
    "obstacles": {
        "barriers": N_("Barriers: health, transport, housing, safety"),
        "aversion": N_("Aversion: school hurts or frightens"),
        "disengagement": N_("Disengagement: school seems not to matter"),
        "misconceptions": N_("Misconceptions: how much a missed day counts"),
    },
    "left": {
        "attendance_tracker": N_("Attendance tracker"),
        "resource_list": N_("List of resources"),
        "health_insurance": N_("Health insurance information"),
        "supplies": N_("Supplies for school"),
        "form_filled_in": N_("A form filled in together"),
        "other": N_("Something else"),
    },
    "whose": {
        "family": N_("The family"),
        "student": N_("The student"),
        "school": N_("The school"),
        "visitors": N_("We visitors"),
    },
    "interpreters": {
        "none": N_("None was needed"),
        "in_person": N_("In person"),
        "by_phone": N_("By phone"),
    },
    "kinds": {"visit": N_("A visit"), "call": N_("A call")},
    "statuses": {
        "offered": N_("Offered"),
        "accepted": N_("Accepted"),
        "handed_over": N_("Handed over"),
        "connected": N_("Connected"),
        "closed": N_("Closed"),
    },
    "resources": {
        "health_insurance": N_("Health insurance"),
        "food": N_("Food"),
        "housing": N_("Housing"),
        "transport": N_("Transport"),
        "winter_clothing": N_("Winter clothing"),
        "counseling": N_("Counseling"),
        "tutoring": N_("Tutoring"),
        "after_school": N_("After-school programme"),
        "summer_camp": N_("Summer camp"),
        "family_resource_center": N_("Family resource center"),
    },
    "due": {
        "expected": N_("Log expected"),
        "overdue": N_("Log overdue"),
        "logged": N_("Logged"),
        "attempted": N_("Attempted"),
        "cancelled": N_("Cancelled"),
    },
    "checks": {
        "overlap": N_("The same person at two visits at once"),
        "impossible_travel": N_("No time for the road, or faster than a car"),
        "under_five_minutes": N_("Shorter than five minutes"),
        "burst_entry": N_("Many logs written within minutes"),
        "no_school_that_day": N_("No school that day"),
        "repeated_text": N_("The same words for different households"),
    },
}
LANGUAGES = (
    "am", "ar", "bn", "en", "es", "fa", "fr", "gu", "hi", "ht", "pl", "ps", "pt", "ru", "so", "sq", "sw", "uk", "ur",
    "vi", "zh",
)  # fmt: skip
"""The languages most spoken by families in Connecticut's schools; an appointment may name any other."""


def of_code(code: str) -> str:
    """Make words of a district's own code."""
    return code.replace("_", " ").capitalize()


def page_words(person: Person, current: str) -> dict[str, Any]:
    """Give the words that every page here is made of, for the reader; `current` is the part of the service."""
    return {
        "words": WORDS,
        "of_code": of_code,
        "as_date": date.fromisoformat,
        "role": person.role,
        "current": current,
    }


def language_names(pages: Pages, request: Request, *more: str | None) -> dict[str, str]:
    """Name the languages that families here speak, in the reader's own, and `more`."""
    locale = pages.language(request).locale
    codes = {*LANGUAGES, *(code for code in more if code)}
    names = {
        code: locale.languages.get(code.replace("-", "_")) or locale.languages.get(code[:2]) or code for code in codes
    }
    return dict(sorted(names.items(), key=lambda named: named[1].casefold()))
