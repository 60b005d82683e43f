"""`leap retention`: what was deleted because it was too old, when, whose, and by which rule."""

import asyncio
import sys
from typing import Any

import asyncpg

from contracts.services import SERVICES
from deploy.commands import state
from deploy.commands.screen import Screen
from services.runtime.web import csv_file

COLUMNS = ("done_on", "service", "owner", "kind", "years", "older_than", "rows")


def retention(screen: Screen, *, as_csv: bool) -> int:
    """List it, newest first; as CSV for a spreadsheet."""
    lines = asyncio.run(_read(state.load_running().admin_url()))
    screen.give({"let_go": lines})
    if as_csv:
        sys.stdout.write(csv_file.as_csv([COLUMNS, *([each[name] for name in COLUMNS] for each in lines)]))
        return 0
    for each in lines:
        screen.say(
            f"{each['done_on']}  {each['owner']:20} {each['rows']:8,} {each['kind']:14} over {each['years']} years"
            f" ({each['service']})"
        )
    if not lines:
        screen.say("nothing: no district has said for how many years it keeps what, or nothing is as old")
    return 0


async def _read(admin_url: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(admin_url)
    try:
        found = []
        for service in SERVICES:
            rows = await connection.fetch(f"SELECT done_on, owner, kind, years, older_than, rows FROM {service}.let_go")
            found += [{"service": service, **row} for row in rows]
        return sorted(found, key=lambda each: (each["done_on"], each["owner"], each["kind"]), reverse=True)
    finally:
        await connection.close()
