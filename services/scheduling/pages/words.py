"""The desk's words for codes, as sentences to translate; DOMAIN's glossary in what people read."""

from collections.abc import Mapping

from babel import Locale, UnknownLocaleError

from services.scheduling.rules.wording import N_

STAGES: Mapping[str, str] = {
    "new": N_("New"),
    "claimed": N_("Claimed"),
    "contacting": N_("Contacting"),
    "agreed": N_("Agreed"),
    "paired": N_("Paired"),
    "confirmed": N_("Confirmed"),
    "visited": N_("Visited"),
    "logged": N_("Logged"),
    "closed": N_("Closed"),
}
CLOSED_BECAUSE: Mapping[str, str] = {
    "declined": N_("the family declined"),
    "not_reached": N_("not reached"),
    "moved": N_("the family moved"),
    "no_longer_flagged": N_("no longer flagged"),
    "goal_met": N_("goal met"),
    "year_over": N_("the school year is over"),
}
LEVELS: Mapping[str, str] = {
    "none": N_("no flag"),
    "at_risk": N_("at risk"),
    "chronically_absent": N_("chronically absent"),
    "severely_chronically_absent": N_("severely chronically absent"),
}
WAYS: Mapping[str, str] = {
    "call": N_("Call"),
    "text": N_("Text message"),
    "letter": N_("Letter"),
    "in_person": N_("In person"),
}
PLACES: Mapping[str, str] = {"home": N_("At home"), "community": N_("In a community space")}
VISIT_STATES: Mapping[str, str] = {
    "scheduled": N_("scheduled"),
    "cancelled": N_("cancelled"),
    "attempted": N_("attempted"),
    "completed": N_("took place"),
}
AFFILIATIONS: Mapping[str, str] = {
    "school": N_("School"),
    "district": N_("District"),
    "agency": N_("Community agency"),
}
GRADE_BANDS: Mapping[str, str] = {
    "pk-2": N_("Pre-K to 2"),
    "3-5": N_("3 to 5"),
    "6-8": N_("6 to 8"),
    "9-12": N_("9 to 12"),
}
AGES: Mapping[str, str] = {
    "overdue": N_("beyond target"),
    "today": N_("due today"),
    "within": N_("within target"),
    "paused": N_("waiting for the family"),
}
WEEKDAYS: Mapping[int, str] = {
    1: N_("Monday"),
    2: N_("Tuesday"),
    3: N_("Wednesday"),
    4: N_("Thursday"),
    5: N_("Friday"),
    6: N_("Saturday"),
    7: N_("Sunday"),
}
# Those the families of the state speak most; a household's own comes from its district, whatever it is.
LANGUAGES = ("en", "es", "pt", "ht", "pl", "ar", "zh")


def language_name(code: str, shown_in: str) -> str:
    """Name a language in another one: es in es is "español". An unknown code names itself."""
    try:
        shown = Locale.parse(shown_in, sep="-")
        named = shown.languages.get(code.split("-")[0])
    except (UnknownLocaleError, ValueError):
        named = None
    return str(named) if named else code
