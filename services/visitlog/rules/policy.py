"""What a district may wish of its logs: when one is overdue, which resources there are, and fields of its own."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from contracts.calendar import LOG_DUE_BUSINESS_DAYS
from services.visitlog.rules.form import Code, Part, ShortText
from services.visitlog.rules.outcomes import LogInvalid
from services.visitlog.rules.wording import N_ as _

DEFAULT_RESOURCES = (
    "health_insurance",
    "food",
    "housing",
    "transport",
    "winter_clothing",
    "counseling",
    "tutoring",
    "after_school",
    "summer_camp",
    "family_resource_center",
)


class Labelled(Part):
    """A code and what people read for it, by language; English where theirs is not there."""

    code: Code
    labels: Annotated[dict[Literal["en", "es"], ShortText], Field(min_length=1)]

    def label(self, language: str) -> str:
        """Give the label in the language, or in the first there is."""
        for each in (language, "en", *self.labels):
            if each in self.labels:
                return self.labels[each]
        return self.code


class ExtraField(Labelled):
    """One more field of the form."""

    kind: Literal["text", "number", "yes_no", "choice"] = "text"
    choices: Annotated[tuple[Labelled, ...], Field(max_length=20)] = ()


class LogPolicy(Part):
    """One version of a district's wishes."""

    log_due_business_days: Annotated[int, Field(ge=1, le=30)] = LOG_DUE_BUSINESS_DAYS
    short_first_visit: bool = True
    resources: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], ...], Field(min_length=1, max_length=60)
    ] = DEFAULT_RESOURCES
    extra_fields: Annotated[tuple[ExtraField, ...], Field(max_length=20)] = ()


class PolicyCommand(Part):
    """A district's wishes; `version` is the one that was read, 0 if none was set."""

    version: Annotated[int, Field(ge=0, lt=2**31)]
    policy: LogPolicy


def check_extra(*, extra: Mapping[str, str], versions: Sequence[LogPolicy]) -> None:
    """Raise LogInvalid unless every extra field is, or once was, asked for and holds what it may.

    Earlier versions count: a phone that was offline while the policy changed must not lose its log over it.
    """
    for code, said in extra.items():
        asked = [field for policy in versions for field in policy.extra_fields if field.code == code]
        if not asked:
            raise LogInvalid(_("The log has a field that this district does not ask for. Open the form again."))
        if not any(_fits(field, said) for field in asked):
            raise LogInvalid(_("One of the district's own fields holds something that it can't hold."))


def _fits(field: ExtraField, said: str) -> bool:
    match field.kind:
        case "number":
            return said.isascii() and said.isdigit() and len(said) <= 9
        case "yes_no":
            return said in ("yes", "no")
        case "choice":
            return said in {choice.code for choice in field.choices}
        case "text":
            return True
