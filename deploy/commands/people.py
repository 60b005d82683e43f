"""Who may sign in: `leap people`, and the people of one machine, who are made up, each with a key of their own."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from contracts.services import SERVICES
from deploy.commands.districts import SANDBOX, codes
from deploy.commands.screen import Screen
from deploy.commands.state import folder
from deploy.local.machine import write_whole
from services.runtime.seen.security import code_of
from services.runtime.settings import SettingsRejected, zone_from
from services.runtime.web.keys import new_key, sha256_of
from services.runtime.web.people import DeclaredPeople

ROLES = ("scheduler", "visitor", "coordinator", "district", "resc", "state", "auditor", "operations")

HARTFORD, DANBURY = "hartford", "danbury"
VISITORS_PER_DISTRICT = 8

# Who the README and `leap up` speak of: display name, role, scopes, language.
_NAMED: dict[str, tuple[str, str, list[str], str]] = {
    "ana": ("Ana R.", "scheduler", [HARTFORD], "en"),
    "ben": ("Ben K.", "scheduler", [HARTFORD], "en"),
    "bea": ("Bea L.", "scheduler", [DANBURY], "en"),
    "marisol": ("Marisol V.", "visitor", [HARTFORD], "es"),
    "omar": ("Omar H.", "visitor", [HARTFORD], "en"),
    "dora": ("Dora P.", "visitor", [DANBURY], "en"),
    "carl": ("Carl B.", "coordinator", [HARTFORD], "en"),
    "dana": ("Dana S.", "district", [HARTFORD], "en"),
    "rosa": ("Rosa M.", "resc", [HARTFORD, DANBURY], "en"),
    "state": ("State office", "state", ["*"], "en"),
    "audit": ("Audit", "auditor", ["*"], "en"),
    "ops": ("Operations", "operations", ["*"], "en"),
}


class PeopleRefused(Exception):
    """What was asked of `leap people` can't be done; the message says why and what to do."""


def people_file() -> Path:
    """Give the file that says who may sign in, written on the first call together with their keys.

    Beside the named people every district has a scheduler `desk-CODE`, a coordinator `coordinator-CODE` and
    visitors `visitor-CODE-1` and on: they are whom the simulated state acts as.
    """
    path = folder() / "people.json"
    if not path.exists():
        people = _NAMED | _of_districts()
        keys = {name: new_key() for name in people}
        # The keys first: a people file whose keys nobody has would stay.
        write_whole(_keys_file(), json.dumps(keys, indent=1))
        write_whole(path, json.dumps({"people": _declared(people, keys)}, indent=1))
    return path


def session_secret_file(service: str) -> Path:
    """Give the file with the secret of a service's sessions on this machine, written on the first call."""
    path = folder() / "secrets" / f"{service}.session"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, secrets.token_hex(32))
    return path


def key_of(name: str) -> str:
    """Give the person's sign-in key. Raises KeyError for a name nobody has."""
    if not _keys_file().exists():
        people_file()
    return str(json.loads(_keys_file().read_text())[name])


def acting_as(name: str) -> dict[str, str]:
    """Give the headers of somebody who asks a service as this person."""
    return {"Authorization": f"Bearer {key_of(name)}"}


def visitors_of(district: str) -> list[str]:
    """Name the visitors of a district who may sign in."""
    return [f"visitor-{district}-{number}" for number in range(1, VISITORS_PER_DISTRICT + 1)]


def _of_districts() -> dict[str, tuple[str, str, list[str], str]]:
    people: dict[str, tuple[str, str, list[str], str]] = {}
    for code in codes():
        if code == SANDBOX:
            continue
        town = code.replace("-", " ").title()
        people[f"desk-{code}"] = (f"{town} desk", "scheduler", [code], "en")
        people[f"coordinator-{code}"] = (f"{town} coordinator", "coordinator", [code], "en")
        for number, name in enumerate(visitors_of(code), start=1):
            people[name] = (f"{town} visitor {number}", "visitor", [code], "en")
    return people


def _declared(people: dict[str, tuple[str, str, list[str], str]], keys: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "display_name": display_name,
            "role": role,
            "scopes": scopes,
            "language": language,
            "key": kept_of(keys[name]),
        }
        for name, (display_name, role, scopes, language) in people.items()
    }


def kept_of(key: str) -> str:
    """Give what the people file keeps of a key."""
    return f"sha256:{sha256_of(key)}"


def _keys_file() -> Path:
    return folder() / "keys.json"


# -- leap people ------------------------------------------------------------------------------------------------------


def _meant() -> Path:
    """Give the file that is meant: the one that services elsewhere read, where it is named, else this machine's."""
    given = os.environ.get("LEAP_PEOPLE_FILE")
    return Path(given) if given else people_file()


def add(screen: Screen, *, name: str, role: str, scopes: list[str], more: dict[str, Any]) -> int:
    """Let somebody in, and show their key, this once. `more` are display name, language and expiry where given."""
    key = new_key()
    with _changing() as people:
        if name in people["people"]:
            raise PeopleRefused(f"{name} is there already: `leap people rotate {name}` gives a new key")
        people["people"][name] = {"display_name": name, **more, "role": role, "scopes": scopes, "key": kept_of(key)}
        people.get("withdrawn", {}).pop(name, None)
    return _show_key(screen, name, key, f"{name} may sign in as {role}")


def rotate(screen: Screen, *, name: str) -> int:
    """Give somebody a new key, shown this once; the old one and all its sessions end within five seconds."""
    key = new_key()
    with _changing() as people:
        declared = _one(people, name)
        declared.pop("key_sha256", None)
        declared["key"] = kept_of(key)
    _keep_for_this_machine(name, key)
    return _show_key(screen, name, key, f"{name} has a new key, the old one is worth nothing any more")


def withdraw(screen: Screen, *, name: str) -> int:
    """Shut somebody out, by whatever door: their key, all their sessions, and what a provider says of them."""
    with _changing() as people:
        # Somebody whom a provider vouches for stands in no file; whether there is such a one only the provider knows.
        if people["people"].pop(name, None) is None and "." not in name:
            raise PeopleRefused(
                f"nobody is called {name}: `leap people list` names all; a provider's are PROVIDER.NAME"
            )
        people.setdefault("withdrawn", {})[name] = datetime.now(UTC).isoformat(timespec="seconds")
    _keep_for_this_machine(name, None)
    screen.give({"withdrawn": name})
    screen.say(f"{name} is shut out: key and sessions end at every service within five seconds")
    return 0


def show(screen: Screen) -> int:
    """List who may sign in, as what and until when, and who was withdrawn. Raises SettingsRejected."""
    declared = DeclaredPeople.read(_meant())
    now = datetime.now(UTC)
    known: list[dict[str, Any]] = [
        {
            "name": name,
            "role": each.role,
            "scopes": each.scopes,
            "expires": each.expires.isoformat() if each.expires is not None else None,
            "expired": each.expires is not None and each.expires <= now,
            "key": "ours" if each.key is not None else "rotate" if each.key_sha256 is not None else "none",
            "in_logs": _codes_of(name),
        }
        for name, each in declared.people.items()
    ]
    withdrawn = {name: moment.isoformat() for name, moment in declared.withdrawn.items()}
    screen.give({"people": known, "withdrawn": withdrawn})
    if not screen.as_json:
        table = Table("name", "role", "sees", "until", "key", box=None)
        for each in known:
            until = f"{each['expires'][:10]}{' (over)' if each['expired'] else ''}" if each["expires"] else ""
            table.add_row(each["name"], each["role"], " ".join(each["scopes"]), until, each["key"])
        for name, moment in withdrawn.items():
            table.add_row(name, "withdrawn", "", moment[:10], "")
        Console(highlight=False).print(table)
    return 0


def problem_of_people() -> str:
    """Say why the people file as it lies there can't be used, or nothing: services go on with the one before."""
    given = os.environ.get("LEAP_PEOPLE_FILE")
    path = Path(given) if given else folder() / "people.json"
    if not given and not path.exists():
        return ""
    try:
        DeclaredPeople.read(path)
    except SettingsRejected as error:
        return str(error)
    return ""


def end_of_day(day: date) -> str:
    """Give the moment until which a key is good whose last day is given. Raises PeopleRefused for one that is over."""
    until = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone_from())
    if until <= datetime.now(UTC):
        raise PeopleRefused(f"{day} is over: give a day to come, or `leap people withdraw`")
    return until.isoformat()


@contextmanager
def _changing() -> Iterator[dict[str, Any]]:
    """Inside the block the file's content may be changed; it is written whole afterwards, if services can read it."""
    path = _meant()
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once, and one of the two changes would be lost
        DeclaredPeople.read(path)  # what is broken is mended by whoever broke it, not written over
        people: dict[str, Any] = json.loads(path.read_text())
        yield people
        # One secret for all services was the release before's; nobody reads it any more.
        people.pop("secret", None)
        try:
            DeclaredPeople.model_validate(people)
        except ValidationError as error:
            wrong = sorted({".".join(map(str, fault["loc"][-2:])) for fault in error.errors(include_input=False)})
            raise PeopleRefused(f"nothing was changed, correct: {', '.join(wrong)}") from None
        _replace(path, json.dumps(people, indent=1))
    finally:
        os.close(lock)


def _replace(path: Path, text: str) -> None:
    """Put the text in the file's place in one step, for its owner alone, who stays the same where root does it."""
    owner = path.stat()
    arriving = path.with_suffix(".new")
    with os.fdopen(os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        if os.geteuid() == 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    arriving.rename(path)


def _one(people: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in people["people"]:
        raise PeopleRefused(f"nobody is called {name}: `leap people list` names all")
    found: dict[str, Any] = people["people"][name]
    return found


def _keep_for_this_machine(name: str, key: str | None) -> None:
    """Of the made-up people this machine knows the keys: what `leap up` shows and the simulated state uses."""
    path = _keys_file()
    keys = json.loads(path.read_text()) if path.exists() else {}
    if name in keys:
        keys[name] = key
        write_whole(path, json.dumps({each: kept for each, kept in keys.items() if kept is not None}, indent=1))


def _show_key(screen: Screen, name: str, key: str, said: str) -> int:
    screen.give({"name": name, "key": key})
    screen.say(said)
    screen.say(f"  key  {key}")
    screen.say("  It is shown this once and kept nowhere: hand it over, and never by mail.")
    return 0


def _codes_of(name: str) -> dict[str, str]:
    """Give what stands for the name in the logs of the services whose secrets lie here."""
    found = {service: folder() / "secrets" / f"{service}.session" for service in SERVICES}
    return {
        service: code_of(name, bytes.fromhex(file.read_text().strip()))
        for service, file in found.items()
        if file.exists()
    }
