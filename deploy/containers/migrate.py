"""The job that brings every service's schema up to this release: `python -m deploy.containers.migrate pre|post`.

`pre`, before its services start, adds what they need; `post`, once they are healthy, takes away what only older ones
needed. May run again. Ends with 1 where a schema could not be brought up, after it has tried the others.
"""

import asyncio
import sys
from pathlib import Path

from contracts.services import SERVICES
from deploy.containers.prepare import KNOWN, OWNERS
from deploy.local import let_look
from services.runtime.migrate import job
from services.runtime.revision import Stage


def main(arguments: list[str], known: Path = KNOWN) -> int:
    """Migrate each service as the owner of its tables, with the login that was prepared for that."""
    stage = Stage(arguments[0])
    return max(_migrate(service, stage, (known / OWNERS / service).read_text()) for service in SERVICES)


def _migrate(service: str, stage: Stage, login: str) -> int:
    ended = job(service, stage, login)
    if ended == 0:
        asyncio.run(let_look(login, service))
    return ended


if __name__ == "__main__":
    if sys.argv[1:] not in ([Stage.PRE], [Stage.POST]):
        sys.exit("usage: python -m deploy.containers.migrate pre|post")
    sys.exit(main(sys.argv[1:]))
