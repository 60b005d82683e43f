"""`leap down`: services first, each with time to finish its batch, then broker and database."""

import shutil
from concurrent.futures import ThreadPoolExecutor

from deploy.commands import state
from deploy.commands.screen import Screen
from deploy.local.containers import Container


def down(screen: Screen, *, purge: bool) -> int:
    """Stop everything this checkout runs; `purge` also removes what it stored."""
    if not state.folder().exists():
        screen.step("nothing was running")
        screen.give({"running": False, "purged": purge})
        return 0
    with state.one_at_a_time():
        found = state.load()
        parts = found.parts()
        services = [part for name, part in parts.items() if name not in ("broker", "database")]  # and who acts on them
        if not any(part.is_running() for part in parts.values()):
            screen.step("nothing was running")
        else:
            with screen.wait("services stopped"), ThreadPoolExecutor(max(1, len(services))) as all_at_once:
                list(all_at_once.map(lambda part: part.stop(), services))
            with screen.wait("Kafka and PostgreSQL stopped"):
                for name in ("broker", "database"):
                    if name in parts:
                        parts[name].stop()
        if purge:
            for part in parts.values():
                if isinstance(part, Container):
                    part.remove()
            shutil.rmtree(state.folder())
            screen.step("nothing left behind")
    screen.give({"running": False, "purged": purge})
    return 0
