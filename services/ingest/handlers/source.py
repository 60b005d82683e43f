"""Where landed records come from in a batch: a landing partition, and the rolls that gather there."""

from dataclasses import dataclass, field
from datetime import date

from services.ingest.handlers.messages import Sender
from services.ingest.rules.books import Page
from services.ingest.rules.rolls import OpenRoll
from services.runtime.delivery.publisher import Message


@dataclass(slots=True)
class Source:
    """A landing partition: what it `told`, in the order in which each began to land, and what is `open` for more marks.

    `roll` is the one that the last mark joined. `weight` is 1, or 0 while a record is read that was counted before.
    """

    sender: Sender
    page: Page
    is_read_again: bool = False
    weight: int = 1
    is_before_books: bool = False
    told: list[OpenRoll | Message] = field(default_factory=list)
    open: dict[tuple[str, date], OpenRoll] = field(default_factory=dict)
    roll: OpenRoll | None = None
    marks: int = 0

    def roll_of(self, school: str, day: date, *, offset: int) -> OpenRoll:
        """Give the roll that a mark of this school and day joins."""
        roll = self.open.get((school, day))
        if roll is None:
            roll = self.open[school, day] = OpenRoll(school, day, offset)
            roll.is_counted = offset >= self.page.began
            self.told.append(roll)
        self.roll = roll
        return roll

    def close(self, school: str, day: date) -> None:
        """Let no later mark join the roll: it would overtake what closes it, or be overtaken."""
        self.open.pop((school, day), None)
        self.roll = None

    def close_all(self) -> None:
        """Let no later mark join any roll."""
        self.open = {}
        self.roll = None

    def weigh(self, offset: int) -> None:
        """Find out whether a record is counted; marks from before the book share no roll with later ones."""
        self.weight = int(self.page.counts(offset))
        if self.is_before_books and offset >= self.page.began:
            self.is_before_books = False
            self.close_all()
