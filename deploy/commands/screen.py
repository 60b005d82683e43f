"""What a command shows: bars and ticks on a terminal, plain lines elsewhere, one JSON value with --json."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bar(Protocol):
    """Something that moves: `advance_to` says how far it is, and `note` what is worth knowing meanwhile."""

    def advance_to(self, done: float, note: str = "") -> None: ...


@dataclass(slots=True)
class Screen:
    """Progress goes to standard error, results to standard output: `leap status --json | jq` just works."""

    as_json: bool = False
    progress: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    @property
    def moves(self) -> bool:
        """Tell whether bars make sense here."""
        return self.progress.is_terminal and not self.as_json

    def step(self, text: str) -> None:
        """Report a finished step."""
        tick = "[green]✓[/green]" if self.progress.is_terminal and "NO_COLOR" not in os.environ else "✓"
        self.progress.print(f" {tick} {text}", markup=True)

    def say(self, text: str = "") -> None:
        """Print a line of the result, unless the result is JSON."""
        if not self.as_json:
            print(text)

    def give(self, result: dict[str, Any]) -> None:
        """Print the result as JSON where that was asked for."""
        if self.as_json:
            print(json.dumps(result, default=str))

    @contextmanager
    def bar(self, title: str, *, total: float, unit: str = "") -> Iterator[Bar]:
        """Show a bar until the block ends; where there is no terminal, a line about every tenth."""
        if not self.moves:
            yield _PlainBar(title, total=total, unit=unit)
            return
        columns = (
            TextColumn(" {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.progress) as drawn:
            task = drawn.add_task(title, total=total, note=unit)

            class Drawn:
                def advance_to(self, done: float, note: str = "") -> None:
                    drawn.update(task, completed=done, note=note or unit)

            yield Drawn()

    @contextmanager
    def wait(self, text: str) -> Iterator[None]:
        """Show that something is going on, and tick it off when the block ends well."""
        if self.moves:
            with self.progress.status(f"{text} ..."):
                yield
        else:
            yield
        self.step(text)


class _PlainBar:
    def __init__(self, title: str, *, total: float, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._next_tenth = 1

    def advance_to(self, done: float, note: str = "") -> None:
        tenth = int(10 * done / self._total) if self._total else 10
        if tenth >= self._next_tenth:
            self._next_tenth = tenth + 1
            print(
                f" {self._title}: {done:,.0f} of {self._total:,.0f} {note or self._unit}", file=sys.stderr, flush=True
            )
