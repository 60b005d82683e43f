"""`leap` as its users meet it, as far as that goes without a broker and a database."""

import json
import os
import pwd
from datetime import date
from pathlib import Path

import pytest

from deploy import cli
from deploy.commands import push, state
from deploy.commands.figures import DistrictFigures, Figures
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.demo.families import Families
from tests.zones import ELSEWHERE, HERE


@pytest.fixture
def empty_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which nothing was ever started."""
    monkeypatch.setattr(state, "checkout", lambda: tmp_path)
    return tmp_path


def _figures(*districts: DistrictFigures, dead_letters: int = 0) -> Figures:
    return Figures(
        districts=list(districts),
        lag_by_group={"leap-ingest": 0},
        waiting_in_outbox={"flagging": 0},
        dead_letters={"ingest": dead_letters},
    )


def _district(*, sent: int) -> DistrictFigures:
    return DistrictFigures(district="hartford", sent=sent, accepted=90, rejected=7, duplicate=3)


def test_a_mixed_file_goes_to_two_doors_and_keeps_its_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "roll.ndjson"
    file.write_text('{"type":"mark"}\n{"type":"calendar"}\nnonsense\n{"type":"enrollment"}\n')

    roster, attendance = push.uploads_of(file, None)

    assert (roster.kind, roster.lines) == ("roster", [2, 4])
    assert (attendance.kind, attendance.lines) == ("attendance", [1, 3])
    assert attendance.body == b'{"type":"mark"}\nnonsense'


def test_every_part_of_a_long_csv_begins_with_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "UPLOAD_BYTES", 40)
    file = tmp_path / "marks.csv"
    file.write_text("student,school\n" + "".join(f"10023{n},H01\n" for n in range(5)))

    uploads = list(push.uploads_of(file, None))

    assert [upload.body.splitlines()[0] for upload in uploads] == [b"student,school"] * 3
    assert [upload.lines for upload in uploads] == [[0, 2, 3], [0, 4, 5], [0, 6]]


def test_ed_fi_events_without_their_sessions_are_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("studentUniqueId,schoolId,eventDate\n")

    with pytest.raises(push.FileRefused, match="--sessions"):
        list(push.uploads_of(file, None))


def test_it_adds_up_only_where_every_record_is_accounted_for() -> None:
    assert _figures(_district(sent=100)).adds_up
    assert not _figures(_district(sent=100), _district(sent=101)).adds_up
    assert not _figures(_district(sent=99)).adds_up
    assert not _figures(_district(sent=100), dead_letters=1).adds_up


@pytest.mark.parametrize("command", [["status"], ["why", "4f2c"], ["absent", "hartford", "3"], ["push", "roll.csv"]])
def test_where_nothing_runs_the_exit_code_says_so(
    command: list[str], empty_checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(command) == cli.NOT_RUNNING

    assert "leap up" in capsys.readouterr().err
    assert list(empty_checkout.iterdir()) == []


def test_stopping_what_never_ran_is_well_and_leaves_nothing(
    empty_checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["down", "--purge", "--json"]) == cli.WELL

    assert json.loads(capsys.readouterr().out) == {"running": False, "purged": True}
    assert list(empty_checkout.iterdir()) == []


def test_a_folder_that_belongs_to_somebody_else_is_named(
    empty_checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_checkout / ".leap").mkdir(mode=0o500)
    root = os.geteuid() == 0
    if root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        assert cli.run(["down", "--purge"]) == cli.NOT_WELL
    finally:
        if root:
            os.seteuid(0)

    assert str(empty_checkout / ".leap") in capsys.readouterr().err


def test_the_state_is_found_again_and_only_its_owner_may_read_it(empty_checkout: Path) -> None:
    State(broker={"kind": "given", "address": "kafka:9092"}, demo={"scale": 0.05}).save()

    found = state.load()

    assert found.bootstrap() == "kafka:9092"
    assert found.demo == {"scale": 0.05}
    assert (empty_checkout / ".leap" / "state.json").stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("empty_checkout")
def test_a_broker_without_services_is_not_a_system_that_runs() -> None:
    given = {"kind": "given", "address": "somewhere"}

    assert not State(broker=given, database=given).is_complete()
    assert State(broker=given, database=given, services={"ingest": given}).is_complete()


def test_progress_stays_out_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    with screen.bar("rows", total=10) as bar:
        bar.advance_to(10)
    screen.say("a line for people")
    screen.give({"rows": 10})

    assert json.loads(capsys.readouterr().out) == {"rows": 10}


def test_who_comes_later_names_the_days_that_the_services_were_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEAP_TIME_ZONE", raising=False)
    assert State().zone() == HERE
    started = State(services={"scheduling": {"environment": {"LEAP_TIME_ZONE": ELSEWHERE.key}}})
    assert started.zone() == ELSEWHERE
    monkeypatch.setenv("LEAP_TIME_ZONE", ELSEWHERE.key)
    assert State().zone() == ELSEWHERE
    assert State(services={"scheduling": {"environment": {}}}).zone() == HERE
    in_containers = State(services={"scheduling": {"address": "http://scheduling:8000"}})
    assert in_containers.zone() == ELSEWHERE


def test_a_zone_that_there_is_not_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEAP_TIME_ZONE", "Europe/Hartford")
    assert cli.run(["up"]) == cli.NOT_WELL
    assert "LEAP_TIME_ZONE: names no time zone" in capsys.readouterr().err


def test_made_up_families_name_times_of_the_states_own_clock() -> None:
    today = date(2026, 10, 5)
    here, there = (Families(7, zone=zone).times("a household", 1, today=today) for zone in (HERE, ELSEWHERE))
    assert [begins.replace(tzinfo=None) for begins, _ in here] == [begins.replace(tzinfo=None) for begins, _ in there]
    assert {begins.tzinfo for begins, _ in there} == {ELSEWHERE}


@pytest.mark.usefixtures("empty_checkout")
@pytest.mark.parametrize(
    ("started", "missing"),
    [
        (["broker"], ["database", "ingest"]),
        (["broker", "database"], ["ingest", "visitlog"]),
        (["broker", "database", "ingest"], ["flagging"]),
    ],
)
def test_a_half_started_stack_is_said_to_be_one(
    started: list[str], missing: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def part(name: str) -> dict[str, str]:
        return {"kind": "given", "address": name}

    state.State(
        broker=part("broker") if "broker" in started else None,
        database=part("database") if "database" in started else None,
        services={name: part(name) for name in started if name not in ("broker", "database")},
    ).save()

    assert cli.run(["status"]) == cli.NOT_RUNNING
    said = capsys.readouterr().err
    assert "half-started: " in said
    assert all(name in said for name in [*missing, "leap up"])


@pytest.mark.usefixtures("empty_checkout")
def test_where_nothing_runs_nothing_is_half_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status"]) == cli.NOT_RUNNING
    assert "nothing runs" in capsys.readouterr().err
