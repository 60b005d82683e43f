"""Rows that name families go over no network in the clear unless somebody said so."""

from pathlib import Path

import pytest

from services.runtime.database_url import LineRefused, guarded, guarded_by_environment
from services.runtime.settings import Settings, SettingsRejected

ELSEWHERE = "postgresql://flagging:pw@db.example.org:5432/leap"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://flagging:pw@localhost/leap", "postgresql://flagging:pw@127.0.0.1:5432/leap",
        "postgresql://flagging:pw@[::1]:5432/leap", "postgresql:///leap", "postgresql://", "postgresql:///leap?host=/run/pg",
    ],
)  # fmt: skip
def test_this_machines_own_is_reached_as_it_is(url: str) -> None:
    assert guarded(url) == url


@pytest.mark.parametrize(
    "url",
    [
        ELSEWHERE, f"{ELSEWHERE}?sslmode=require", f"{ELSEWHERE}?sslmode=verify-ca&sslrootcert=/ca.pem",
        "postgresql://u:p@10.0.0.7/leap", "postgresql://u:p@[2001:db8::1]:5432/leap", "postgresql:///leap?host=10.0.0.7",
        "postgresql://u:p@localhost:5432,db.example.org:5432/leap", "postgresql://u:p@127.0.0.1.example.org/leap",
        "postgresql://u:p@localhost/leap?host=db.example.org",
    ],
)  # fmt: skip
def test_anothers_is_refused_where_nobody_checks_who_answers(url: str) -> None:
    with pytest.raises(LineRefused) as refused:
        guarded(url)
    assert "pw" not in str(refused.value)


def test_a_named_authority_is_asked_and_the_name_is_checked() -> None:
    checked = guarded(f"{ELSEWHERE}?sslmode=disable", ca_file=Path("/run/ca.pem"))
    assert checked == f"{ELSEWHERE}?sslmode=verify-full&sslrootcert=/run/ca.pem"
    assert guarded(checked) == checked, "and says so to every program that opens it"


def test_who_says_so_may_go_in_the_clear() -> None:
    assert guarded(ELSEWHERE, in_the_clear=True) == ELSEWHERE
    assert guarded_by_environment(ELSEWHERE, {"LEAP_DATABASE_IN_THE_CLEAR": "true"}) == ELSEWHERE
    with pytest.raises(LineRefused):
        guarded_by_environment(ELSEWHERE, {"LEAP_DATABASE_IN_THE_CLEAR": "false"})


def test_a_service_does_not_start_before_it_is_settled() -> None:
    told = {"LEAP_KAFKA_BOOTSTRAP_SERVERS": "none", "LEAP_DATABASE_URL": ELSEWHERE}
    with pytest.raises(SettingsRejected, match="LEAP_DATABASE_CA_FILE"):
        Settings.from_environment(told)
    settings = Settings.from_environment({**told, "LEAP_DATABASE_CA_FILE": "/run/ca.pem"})
    assert settings.database_url.endswith("?sslmode=verify-full&sslrootcert=/run/ca.pem")
    assert Settings.from_environment({**told, "LEAP_DATABASE_IN_THE_CLEAR": "true"}).database_url == ELSEWHERE
