"""What a backup must be before anything is put back from it: whole, young, of this release, and of these secrets."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.services import SERVICES
from deploy.commands import backup
from deploy.commands.backup import MANIFEST, MOST_DAYS, Backup, BackupRefused
from deploy.commands.state import State
from deploy.local.dumps import digest

MADE = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The districts' file of this machine."""
    file = tmp_path / "districts.json"
    file.write_text("{}")
    return file


@pytest.fixture
def made(tmp_path: Path, secrets: Path) -> tuple[Path, Backup]:
    """A backup as `leap backup` leaves one."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for service in SERVICES:
        (folder / f"{service}.dump").write_bytes(service.encode())
    kept = Backup(
        made_at=MADE.isoformat(),
        files={service: digest(folder / f"{service}.dump") for service in SERVICES},
        migrations={name: backup.newest_migration(name) for name in (*SERVICES, "runtime")},
        secrets={"districts.json": digest(secrets)},
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(kept)))
    return folder, kept


def check(folder: Path, made: Backup, secrets: Path, *, days: float = 1, services: tuple[str, ...] = ()) -> None:
    """Ask whether it may be put back so many days later."""
    here = State(services={"ingest": {"environment": {"LEAP_DISTRICTS_FILE": str(secrets)}}})
    chosen = list(services or SERVICES)
    backup.check(folder, made, chosen, now=MADE + timedelta(days=days), found=here)


def test_what_was_written_may_be_put_back_as_long_as_topics_keep_what_came_since(
    made: tuple[Path, Backup], secrets: Path
) -> None:
    folder, kept = made
    assert backup.read(folder) == kept
    check(folder, kept, secrets, days=MOST_DAYS)
    with pytest.raises(BackupRefused, match="--old"):
        check(folder, kept, secrets, days=MOST_DAYS + 0.1)


def test_a_folder_without_its_manifest_is_no_backup(tmp_path: Path, made: tuple[Path, Backup]) -> None:
    folder, _ = made
    with pytest.raises(BackupRefused, match="cut off"):
        backup.read(tmp_path / "nothing")
    for text in ("", "{}", "[]", '{"made_at": 1}'):
        (folder / MANIFEST).write_text(text)
        with pytest.raises(BackupRefused, match="another backup"):
            backup.read(folder)


def test_a_file_that_is_missing_or_altered_is_refused_and_only_where_it_is_needed(
    made: tuple[Path, Backup], secrets: Path
) -> None:
    folder, kept = made
    (folder / "flagging.dump").write_bytes(b"something else")
    (folder / "ingest.dump").unlink()
    for service in ("flagging", "ingest"):
        with pytest.raises(BackupRefused, match=f"{service}.dump is missing or not what was written"):
            check(folder, kept, secrets, services=(service,))
    check(folder, kept, secrets, services=("reporting",))


@pytest.mark.parametrize("name", ["reporting", "runtime"])
def test_tables_of_a_newer_release_wait_for_it(made: tuple[Path, Backup], secrets: Path, name: str) -> None:
    folder, kept = made
    newer = replace(kept, migrations=kept.migrations | {name: "9999_of_tomorrow.sql"})
    with pytest.raises(BackupRefused, match=f"{name}'s tables are of a newer release"):
        check(folder, newer, secrets, services=("reporting",))


def test_a_backup_of_a_release_that_did_not_name_the_runtimes_is_taken(
    made: tuple[Path, Backup], secrets: Path
) -> None:
    folder, kept = made
    before = {name: file for name, file in kept.migrations.items() if name != "runtime"}
    check(folder, replace(kept, migrations=before), secrets)


def test_other_secrets_are_refused_before_anything_is_touched(made: tuple[Path, Backup], secrets: Path) -> None:
    folder, kept = made
    secrets.write_text('{"other": 1}')
    with pytest.raises(BackupRefused, match="the same child has another"):
        check(folder, kept, secrets)
