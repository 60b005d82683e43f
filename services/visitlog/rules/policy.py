"""What a district wishes of its logs, as its policy says: the values stand in the contract, decided at the desk."""

from collections.abc import Mapping, Sequence

from contracts.events import ExtraField, LogPolicy
from services.visitlog.rules.outcomes import LogInvalid
from services.visitlog.rules.wording import N_ as _

__all__ = ["ExtraField", "LogPolicy", "check_extra"]


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
