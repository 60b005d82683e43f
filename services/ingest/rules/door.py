"""Which days may come in, by the day it is where the district is (DOMAIN.md 9.5). No I/O, no clock: the day is told."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Self

from contracts.calendar import first_day_of, last_day_of, local_day, school_year_of, start_of_day
from contracts.events import Category, Feed, RejectionReason
from services.ingest.rules.landing import FIRST_DAY, LAST_DAY, Calendar, Enrollment, Mistake

YEARS_BACK = 5
"""Attendance may be told from the 1 July so many years before this school year's."""

ABSENCES = frozenset(
    {
        Category.EXCUSED_ABSENCE,
        Category.UNEXCUSED_ABSENCE,
        Category.MENTAL_HEALTH_DAY,
        Category.OUT_OF_SCHOOL_SUSPENSION,
        Category.EXPULSION,
    }
)
"""What can be known of a day before it comes; whether the day then counts as absent is flagging's rule."""

_LAST_MOMENT_MS = 32_503_680_000_000
"""The year 3000. Where a topic lets producers set the time they may set any: further away is as far."""

_NO_PRESENCE: Mistake = (RejectionReason.IMPOSSIBLE_DATE, "date: nobody has been present on a day to come")
_FULL_FEED: Mistake = (RejectionReason.IMPOSSIBLE_DATE, "date: a full feed tells no day to come")
_NOT_COMPLETE: Mistake = (RejectionReason.IMPOSSIBLE_DATE, "date: no roll is complete before its day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What may come in while it is `today`: attendance from `first_day` to `last_day`.

    It is that day for what the broker appended from `opens_ms` on and before `closes_ms`.
    """

    today: date
    first_day: date
    last_day: date
    opens_ms: float
    closes_ms: float

    @classmethod
    def at(cls, timestamp_ms: int, *, zone: tzinfo, moved: timedelta) -> Self:
        """Give the door of a record appended then. `moved` is how far a simulated state's clock is ahead."""
        bounded = min(max(timestamp_ms, 0), _LAST_MOMENT_MS)
        today = local_day(datetime.fromtimestamp(bounded / 1000, UTC) + moved, zone=zone)
        opens, closes = (
            # In UTC: in the zone itself a difference is one of the clocks on the wall.
            (start_of_day(day, zone=zone).astimezone(UTC) - moved).timestamp() * 1000
            for day in (today, today + timedelta(days=1))
        )
        school_year = school_year_of(today)
        return cls(
            today=today,
            first_day=max(first_day_of(school_year - YEARS_BACK), FIRST_DAY),
            last_day=min(last_day_of(school_year + 1), LAST_DAY),
            opens_ms=opens,
            closes_ms=closes,
        )

    def mistake_in_day(self, day: date) -> Mistake | None:
        """Refuse a day of years that are over or far ahead, or None."""
        if self.first_day <= day <= self.last_day:
            return None
        return RejectionReason.IMPOSSIBLE_DATE, f"date: outside {self.first_day} to {self.last_day}"

    def mistake_in_mark(self, day: date, *, category: Category | None, feed: Feed | None) -> Mistake | None:
        """Refuse what can't be known of a day to come; `category` is None where a mark is taken back.

        `feed` is how the school reports, where that is known: an absence foreseen waits for its day's roll, and a
        full feed would count it at once.
        """
        if (mistake := self.mistake_in_day(day)) is not None or day <= self.today or category is None:
            return mistake
        if category not in ABSENCES:
            return _NO_PRESENCE
        return _FULL_FEED if feed is Feed.FULL else None

    def is_unusual(self, day: date) -> bool:
        """Tell a day to come, or too far, from all others: each of its marks is to be judged."""
        return not self.first_day <= day <= self.today

    def mistake_in_roll(self, day: date, *, complete: bool, feed: Feed | None) -> Mistake | None:
        """Refuse a whole roll for its day, or None where it is for its marks to say."""
        if complete:
            return self.mistake_in_completion(day)
        return self.mistake_in_day(day) or (_FULL_FEED if day > self.today and feed is Feed.FULL else None)

    def mistake_in_completion(self, day: date) -> Mistake | None:
        """Refuse a roll that is complete before its day, or None."""
        return self.mistake_in_day(day) or (_NOT_COMPLETE if day > self.today else None)

    def mistake_in_enrollment(self, enrollment: Enrollment) -> Mistake | None:
        """Refuse an entry beyond the next school year, or that nobody can hold; one of years ago is ordinary."""
        if FIRST_DAY <= enrollment.entry_date <= self.last_day:
            return None
        return RejectionReason.IMPOSSIBLE_DATE, f"entry_date: outside {FIRST_DAY} to {self.last_day}"

    def mistake_in_calendar(self, calendar: Calendar) -> Mistake | None:
        """Refuse the calendar of a year that is over for good or beyond the next, or None."""
        first, last = school_year_of(self.first_day), school_year_of(self.last_day)
        if first <= calendar.school_year <= last:
            return None
        return RejectionReason.IMPOSSIBLE_DATE, f"school_year: outside {first} to {last}"
