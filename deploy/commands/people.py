"""The people of one machine: made up, each with a key of their own, written once and read by nobody else."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from deploy.commands.districts import SANDBOX, codes
from deploy.commands.state import folder
from deploy.local.machine import write_whole

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


def people_file() -> Path:
    """Give the file that says who may sign in, written on the first call together with their keys.

    Beside the named people every district has a scheduler `desk-CODE`, a coordinator `coordinator-CODE` and
    visitors `visitor-CODE-1` and on: they are whom the simulated state acts as.
    """
    path = folder() / "people.json"
    if not path.exists():
        people = _NAMED | _of_districts()
        keys = {name: secrets.token_urlsafe(15) for name in people}
        # The keys first: a people file whose keys nobody has would stay.
        write_whole(_keys_file(), json.dumps(keys, indent=1))
        declared = {"secret": secrets.token_hex(32), "people": _declared(people, keys)}
        write_whole(path, json.dumps(declared, indent=1))
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
            "key_sha256": hashlib.sha256(keys[name].encode()).hexdigest(),
        }
        for name, (display_name, role, scopes, language) in people.items()
    }


def _keys_file() -> Path:
    return folder() / "keys.json"
