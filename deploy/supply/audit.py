"""Asks whether anything that runs has a hole that somebody knows: `python -m deploy.supply.audit`.

It ends with 0 where none is known, with 1 where one is, and with 4 where the service of advisories can't be reached:
then nothing is proved, and it says so.
"""

import json
import os
import sys
from collections.abc import Sequence
from urllib.error import URLError
from urllib.request import Request, urlopen

from deploy.supply.parts import Part, everything

SERVICE = "https://api.osv.dev/v1/querybatch"
"""Knows packages of Python and Java alike by their purl. LEAP_ADVISORIES names another one that speaks the same."""

WELL, FOUND, NOT_ASKED = 0, 1, 4
_SECONDS = 30
_AT_A_TIME = 500


class NotAsked(Exception):
    """The service of advisories did not answer: nothing is known, neither good nor bad."""


def known_holes(parts: Sequence[Part], *, service: str) -> dict[str, list[str]]:
    """Give the ids of advisories by purl. Raises NotAsked."""
    holes: dict[str, list[str]] = {}
    for start in range(0, len(parts), _AT_A_TIME):
        some = parts[start : start + _AT_A_TIME]
        asked = json.dumps({"queries": [{"package": {"purl": part.purl}} for part in some]}).encode()
        request = Request(service, data=asked, headers={"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=_SECONDS) as answer:
                results = json.load(answer)["results"]
        except (URLError, OSError, ValueError, KeyError) as error:
            raise NotAsked(f"{type(error).__name__} from the service of advisories") from None
        if len(results) != len(some):
            raise NotAsked("the service of advisories answered something else than was asked")
        for part, result in zip(some, results, strict=True):
            if ids := [each["id"] for each in result.get("vulns", ())]:
                holes[part.purl] = ids
    return holes


def main() -> int:
    """Ask, and print what is known."""
    parts = everything()
    try:
        holes = known_holes(parts, service=os.environ.get("LEAP_ADVISORIES", SERVICE))
    except NotAsked as reason:
        print(f"not proved: {reason}. Whether a part has a known hole was not asked; ask where there is a network.")
        return NOT_ASKED
    for purl, ids in sorted(holes.items()):
        print(f"{purl}: {', '.join(ids)}")
    print(f"{len(parts)} parts asked after, {len(holes)} with a known hole")
    return FOUND if holes else WELL


if __name__ == "__main__":
    sys.exit(main())
