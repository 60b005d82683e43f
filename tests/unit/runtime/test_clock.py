"""The clock is real unless a simulated state moves it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.runtime import clock


@pytest.fixture(autouse=True)
def real_clock_afterwards() -> Iterator[None]:
    yield
    clock.use(None)


def write(file: Path, text: str) -> None:
    arriving = file.with_suffix(".new")
    arriving.write_text(text)
    arriving.rename(file)


def apart(moment: datetime) -> timedelta:
    return abs(moment - datetime.now(UTC))


def test_without_a_file_it_is_the_real_time_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert apart(clock.now()) < timedelta(seconds=5)


def test_a_file_moves_it_by_its_seconds_and_again_when_it_changes(tmp_path: Path) -> None:
    write(tmp_path / "clock", "-86400\n")
    clock.use(tmp_path / "clock")
    assert apart(clock.now() + timedelta(days=1)) < timedelta(seconds=5)

    write(tmp_path / "clock", "3600")
    assert apart(clock.now() - timedelta(hours=1)) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["", "soon", "12 34"])
def test_a_file_half_written_changes_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path / "clock", "7200")
    clock.use(tmp_path / "clock")
    clock.now()
    write(tmp_path / "clock", text)
    assert apart(clock.now() - timedelta(hours=2)) < timedelta(seconds=5)


def test_a_file_that_comes_later_is_found_and_one_that_goes_is_remembered(tmp_path: Path) -> None:
    clock.use(tmp_path / "clock")
    assert apart(clock.now()) < timedelta(seconds=5)
    write(tmp_path / "clock", "60")
    assert apart(clock.now() - timedelta(minutes=1)) < timedelta(seconds=5)
    os.remove(tmp_path / "clock")
    assert apart(clock.now() - timedelta(minutes=1)) < timedelta(seconds=5)
