import pytest

from services.runtime.settings import Settings, SettingsRejected, zone_from
from tests.zones import ELSEWHERE, HERE

GIVEN = {
    "LEAP_KAFKA_BOOTSTRAP_SERVERS": "k:9092",
    "LEAP_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1/d",
    "HOME": "/",
}


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment({**GIVEN, "LEAP_HTTP_PORT": "8002"})
    assert (settings.kafka_bootstrap_servers, settings.http_port) == ("k:9092", 8002)


def test_a_name_nobody_reads_is_refused() -> None:
    with pytest.raises(SettingsRejected, match="LEAP_HTTP_PROT: nobody reads this variable"):
        Settings.from_environment({**GIVEN, "LEAP_HTTP_PROT": "8002"})


def test_a_missing_one_is_named() -> None:
    with pytest.raises(SettingsRejected, match="LEAP_DATABASE_URL: must be set"):
        Settings.from_environment({"LEAP_KAFKA_BOOTSTRAP_SERVERS": "k:9092"})


def test_no_message_and_no_print_shows_a_password() -> None:
    assert "hunter2" not in repr(Settings.from_environment(GIVEN))
    for wrong in ({"LEAP_HTTP_PORT": "hunter2"}, {"LEAP_DATABASE_URL": "postgresql://u:hunter2@elsewhere/d"}):
        with pytest.raises(SettingsRejected) as refused:
            Settings.from_environment({**GIVEN, **wrong})
        assert "hunter2" not in str(refused.value)


def test_the_zone_is_read_once_and_refused_where_there_is_none_of_that_name() -> None:
    assert Settings.from_environment({**GIVEN, "LEAP_TIME_ZONE": ELSEWHERE.key}).zone == ELSEWHERE
    assert Settings.from_environment(GIVEN).zone == zone_from({}) == HERE
    assert zone_from({"LEAP_TIME_ZONE": ELSEWHERE.key}) == ELSEWHERE
    for wrong in ("Europe/Hartford", "", "../etc/passwd"):
        for read in (Settings.from_environment, zone_from):
            with pytest.raises(SettingsRejected, match="LEAP_TIME_ZONE: names no time zone"):
                read({**GIVEN, "LEAP_TIME_ZONE": wrong})
