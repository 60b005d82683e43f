"""The districts of one machine: made-up secrets and tokens, written once."""

import json
import secrets
from pathlib import Path

from deploy.commands.state import folder
from deploy.demo.districts import DISTRICTS
from deploy.local.machine import write_whole

SANDBOX = "sandbox"
"""Takes what is pushed by hand, so that it never mixes with a simulated district."""


class DistrictUnknown(Exception):
    """The message lists the districts there are, or says that this one's token is somebody else's to know."""


def districts_file() -> Path:
    """Give the file ingest reads, written on the first call: the 15 simulated districts and the sandbox."""
    path = folder() / "districts.json"
    if not path.exists():
        names = {district.code: district.name for district in DISTRICTS} | {SANDBOX: "Sandbox"}
        written = {
            "state_secret": secrets.token_hex(32),
            "districts": {
                code: {"secret": secrets.token_hex(32), "token": secrets.token_urlsafe(24), "name": name}
                for code, name in names.items()
            },
        }
        write_whole(path, json.dumps(written, indent=1))
    return path


def codes() -> list[str]:
    """Name every district of this machine."""
    return list(json.loads(districts_file().read_text())["districts"])


def token_of(district: str) -> str:
    """Give the district's bearer token. Raises DistrictUnknown."""
    declared = json.loads(districts_file().read_text())["districts"]
    if district not in declared:
        raise DistrictUnknown(f"there is no district {district}; there are {', '.join(declared)}")
    if "token" not in declared[district]:
        raise DistrictUnknown(f"the token of {district} is not known here: ask whoever administers this installation")
    return str(declared[district]["token"])
