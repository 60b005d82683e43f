"""`leap backup FOLDER`: every service's tables as a file of its own, and what they can't be read without."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.services import SERVICES
from contracts.topics import LANDING_RETENTION_MS
from deploy.commands import state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.local.dumps import digest, dump_schema
from deploy.local.machine import checkout, write_whole

MANIFEST = "backup.json"
RUNTIME = "runtime"
"""Whose migrations are part of every service's schema."""
MOST_DAYS = LANDING_RETENTION_MS // (24 * 3600 * 1000)
"""So long landing topics keep what districts sent: behind an older backup a part of it is gone."""


class BackupRefused(Exception):
    """The backup can't be made or used. The message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a folder holds: a file for each service, by name with its digest, and the secrets beside them."""

    made_at: str
    files: dict[str, str]
    migrations: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)

    def age_days(self, now: datetime) -> float:
        """Tell how old it is."""
        return (now - datetime.fromisoformat(self.made_at)).total_seconds() / 86_400


def backup(screen: Screen, *, folder: Path) -> int:
    """Write a backup while everything runs. Each service's file is of one moment, its positions with its rows.

    The manifest is written last: a folder without one is a backup that was cut off, and may be begun anew.
    """
    found = state.load_running()
    if (folder / MANIFEST).exists():
        made_at = read(folder).made_at
        raise BackupRefused(f"{folder} holds the backup of {made_at} already; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # tables name families, and the secrets tell who a pseudonym is

    made_at = datetime.now(UTC).isoformat()
    files = {}
    with screen.bar("backup", total=len(SERVICES), unit="services") as bar:
        for done, service in enumerate(SERVICES, start=1):
            file = folder / f"{service}.dump"
            dump_schema(found.admin_url(), service, file)
            files[service] = digest(file)
            bar.advance_to(done)
    made = Backup(
        made_at=made_at,
        files=files,
        migrations={name: newest_migration(name) for name in (*SERVICES, RUNTIME)},
        secrets={name: _keep_secret(path, folder / name) for name, path in secret_files(found).items()},
    )
    write_whole(folder / MANIFEST, json.dumps(asdict(made), indent=1))
    size = sum((folder / f"{service}.dump").stat().st_size for service in SERVICES)
    screen.say(f"{folder}: {len(files)} services, {size / 1e6:,.1f} MB, of {made_at}; good for {MOST_DAYS} days")
    screen.say("It holds families' data and the secrets behind all pseudonyms: keep it where nobody else may read it.")
    screen.give(asdict(made) | {"bytes": size})
    return 0


def read(folder: Path) -> Backup:
    """Read what a folder holds. Raises BackupRefused where that is no whole backup."""
    try:
        written = json.loads((folder / MANIFEST).read_text())
        return Backup(**written)
    except FileNotFoundError:
        raise BackupRefused(f"{folder} is no backup, or one that was cut off: it has no {MANIFEST}") from None
    except (ValueError, TypeError):
        raise BackupRefused(f"{folder / MANIFEST} can't be read; take another backup") from None


def check(folder: Path, made: Backup, services: list[str], *, now: datetime, found: State) -> None:
    """Raise BackupRefused where these services can't be put back as they were."""
    age = made.age_days(now)
    if age > MOST_DAYS:
        raise BackupRefused(
            f"the backup is {age:.0f} days old; landing topics keep {MOST_DAYS}, so what districts sent in between is"
            " gone in part. Take a younger one, or ask the districts to send those days again and say --old"
        )
    for service in services:
        file = folder / f"{service}.dump"
        if service not in made.files or not file.exists() or digest(file) != made.files[service]:
            raise BackupRefused(f"{file} is missing or not what was written on {made.made_at}; take another backup")
    for name in (*services, RUNTIME):
        known = [path.name for path in _migrations(name)]
        # A backup of a release before this one does not name what every service has of the runtime's.
        if name in made.migrations and made.migrations[name] not in known:
            raise BackupRefused(
                f"{name}'s tables are of a newer release ({made.migrations[name]}): install that, then restore"
            )
    for name, path in secret_files(found).items():
        if name in made.secrets and digest(path) != made.secrets[name]:
            raise BackupRefused(
                f"{path} is another one than at the time of the backup: under other secrets the same child has another"
                f" key. Put {folder / name} in its place, then restore"
            )


def newest_migration(service: str) -> str:
    """Name the newest migration that this release brings, of a service or of what all stand on."""
    return max(path.name for path in _migrations(service))


def _migrations(service: str) -> list[Path]:
    return sorted((checkout() / "services" / service / "migrations").glob("*.sql"))


def secret_files(found: State) -> dict[str, Path]:
    """Name the files without which tables can't be read: whose number is behind which key."""
    environment: dict[str, Any] = found.services.get("ingest", {}).get("environment", {})
    file = environment.get("LEAP_DISTRICTS_FILE")
    return {"districts.json": Path(file)} if file else {}


def _keep_secret(path: Path, copy: Path) -> str:
    shutil.copyfile(path, copy)
    copy.chmod(0o600)
    return digest(copy)
