"""A table's codes and numbers in the reader's words: districts, steps, months, languages, hidden numbers."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal

from contracts.calendar import local_day
from services.reporting.rules.measures import MEASURES
from services.reporting.rules.tables import STATE, Number
from services.runtime.web.languages import N_, Language

_CODES = {
    "new": N_("New"),
    "claimed": N_("Claimed"),
    "contacting": N_("Contacting"),
    "agreed": N_("Agreed"),
    "paired": N_("Paired"),
    "confirmed": N_("Confirmed"),
    "visited": N_("Visited"),
    "logged": N_("Logged"),
    "flagged_families": N_("Families of flagged students"),
    "visits": N_("Visits"),
    "visited_families": N_("Families visited"),
    "declined_families": N_("Families that declined"),
    "students_improved": N_("Students whose flag was cleared"),
}
_RESOURCES = {
    "food": N_("Food"),
    "health": N_("Health"),
    "health_insurance": N_("Health insurance"),
    "housing": N_("Housing"),
    "transport": N_("Transport"),
    "transportation": N_("Transport"),
    "clothing": N_("Clothing"),
    "mental_health": N_("Mental health"),
    "summer_program": N_("Summer programme"),
    "tutoring": N_("Tutoring"),
    "childcare": N_("Child care"),
}
_KEYS = {
    "district": N_("District"),
    "step": N_("Step"),
    "stage": N_("Stage"),
    "band": N_("Grades"),
    "school": N_("School"),
    "month": N_("Month"),
    "language": N_("Language"),
    "resource": N_("Resource"),
    "visitor": N_("Visitor"),
    "grade": N_("Grade"),
    "what": N_("Counted"),
    "months_since": N_("Months since the visit"),
}
# As districts write themselves where capitals alone do not do.
_NAMES = {"crec": "CREC"}


class Words:
    """One reader's language, and the zone in which days are days."""

    def __init__(self, language: Language, zone: ZoneInfo) -> None:
        self.language = language
        self.zone = zone

    def say(self, text: str, **values: object) -> str:
        """Translate a sentence."""
        return self.language.gettext(text, **values)

    def heading(self, key: str) -> str:
        """Head a column of codes."""
        return self.say(_KEYS.get(key, key))

    def title(self, measure: str) -> str:
        """Head a column of numbers."""
        return self.say(MEASURES[measure].title)

    def place(self, district: str) -> str:
        """Name a district, or the whole state."""
        if district == STATE:
            return self.say(N_("Whole state"))
        return _NAMES.get(district, " ".join(part.capitalize() for part in district.split("-")))

    def label(self, key: str, code: str) -> str:
        """Put a line's code into words."""
        if key == "district" or code == STATE:
            return self.place(code)
        if key == "month":
            return str(format_date(date.fromisoformat(code), "MMM yyyy", locale=self.language.locale))
        if key == "step":
            return self.title(code)
        if key == "language":
            return self._language(code)
        if key == "resource":
            return self.say(_RESOURCES[code]) if code in _RESOURCES else code.replace("_", " ").capitalize()
        if key == "months_since" and code == "0":
            return self.say(N_("Month of the visit"))
        if key == "grade" and code == "?":
            return self.say(N_("Not known"))
        if key in ("stage", "what"):
            return self.say(_CODES.get(code, code))
        return code

    def number(self, number: Number, measure: str, *, hidden: bool = False) -> str:
        """Write a number with its unit where the heading does not say it."""
        if hidden:
            return "*"
        if number is None:
            return "–"
        percent = MEASURES[measure].unit == "percent"
        pattern = "#,##0.0" if percent or isinstance(number, float) else "#,##0"
        return str(format_decimal(number, pattern, locale=self.language.locale)) + (" %" if percent else "")

    def day(self, day: date | datetime) -> str:
        """Write a day."""
        if isinstance(day, datetime):
            day = local_day(day, zone=self.zone)
        return str(format_date(day, "long", locale=self.language.locale))

    def _language(self, code: str) -> str:
        try:
            name = Locale.parse(code, sep="-").get_language_name(self.language.locale)
        except (UnknownLocaleError, ValueError):
            return code
        return f"{name[:1].upper()}{name[1:]}" if name else code
