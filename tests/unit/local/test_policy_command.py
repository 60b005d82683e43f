"""`leap policy set`: what is typed becomes the whole next decision, or says which fields there are."""

from typing import Any

import pytest

from deploy.commands.policy import NotAPolicy, change
from services.scheduling.handlers.policies import DecidePolicy
from services.scheduling.rules.policy import STANDARD


@pytest.fixture
def standing() -> dict[str, Any]:
    """The standard policy as the API shows it."""
    return STANDARD.model_dump(mode="json") | {"in_force": 0}


def test_changes_are_read_by_what_stands_in_their_place(standing: dict[str, Any]) -> None:
    for said in (
        "absence.min_enrolled_days=15",
        "absence.early_warning=false",
        "absence.accumulator=school",
        "desk.weights.sibling=60",
        "log.resources=food,bus_pass",
        'log.extra_fields=[{"code":"bus","labels":{"en":"Bus line"}}]',
    ):
        change(standing, said)
    decided = DecidePolicy.model_validate({name: standing[name] for name in ("version", "absence", "desk", "log")})
    assert (decided.absence.min_enrolled_days, decided.absence.early_warning) == (15, False)
    assert (decided.absence.accumulator, decided.desk.weights.sibling) == ("school", 60)
    assert (decided.log.resources, decided.log.extra_fields[0].code) == (("food", "bus_pass"), "bus")
    assert decided.desk.tries == STANDARD.desk.tries, "the rest stays"


@pytest.mark.parametrize(
    "said", ["absence.chronic_tenths=2", "version=9", "absence=", "desk.weights.luck=1", "absence.early_days", "x.y=1"]
)
def test_a_field_that_no_policy_has_is_answered_with_those_there_are(standing: dict[str, Any], said: str) -> None:
    before = str(standing)
    with pytest.raises(NotAPolicy, match=r"absence\.min_enrolled_days"):
        change(standing, said)
    assert str(standing) == before
