"""How a process ends, and what it says by that."""

from pathlib import Path

from services.runtime.service import Running, Service
from services.runtime.settings import Settings

SETTINGS = Settings(kafka_bootstrap_servers="127.0.0.1:1", database_url="postgresql://")


def a_service() -> Running:
    return Running(Service(name="little", migrations=Path()), SETTINGS)


async def test_a_process_that_gives_up_says_that_it_failed() -> None:
    running = a_service()
    running.give_up("little: the coordination task is dead")
    assert running.stop.is_set()
    assert running.exit_code == 1


async def test_a_process_that_was_told_to_stop_has_not_failed_because_its_consumers_are_stopped() -> None:
    running = a_service()
    running.stop.set()
    running.give_up("little: the coordination task is dead")
    assert running.exit_code == 0
