"""Random small worlds: two districts, a few children, some weeks, and everything that goes wrong with them.

A seed is a world. What is drawn is what the field sends: movers, dual enrolments, stints withdrawn or told late,
corrections, retractions, parts of a day, snow days, reopened rolls, declared feeds, tracks, joined numbers, policies
that change in mid-year, rehearsals; and oddities: days that are none, numbers that nobody knows.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from contracts.events import AttendanceRecorded, Category, Event, RollCompleted, RollRecorded, RollReopened
from tests.component.flagging.builders import (
    FIRST_DAY,
    calendar,
    completion,
    feed,
    mark,
    policy,
    reopening,
    retraction,
    roll,
    school_days,
    status,
    stint,
    student,
)

MOMENT = 1_788_220_800_000_000
LAST_YEAR_FIRST_DAY = date(2025, 9, 2)
CATEGORIES = [category.value for category in Category]
ABSENCES = CATEGORIES[7:]
GRADES = ("PK", "K", "3", "3", "9", "12")


@dataclass(frozen=True, slots=True)
class Place:
    """A school as its district runs it."""

    district: str
    code: str
    feed: str
    rosters: bool
    closes_by_rule: bool
    tracks: tuple[str, ...]


@dataclass(slots=True)
class World:
    """The facts, what districts say of being live and when (as a share of the facts told before), and the day it is."""

    seed: int
    facts: list[Event] = field(default_factory=list)
    statuses: list[tuple[float, Event]] = field(default_factory=list)
    today: date = FIRST_DAY


class Maker:
    """Draws a world."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World(seed)
        self.receipts = [UUID(int=self.draw.getrandbits(128), version=4) for _ in range(3)]

    def chance(self, share: float) -> bool:
        """Say yes in this share of cases."""
        return self.draw.random() < share

    def make(self) -> World:
        """Draw the whole of it."""
        districts = ("hartford", "windham")[: self.draw.choice((1, 2))]
        years = [school_days(self.draw.randrange(30, 46))]
        if self.chance(0.5):
            years.insert(0, school_days(self.draw.randrange(12, 24), LAST_YEAR_FIRST_DAY))
        self.world.today = years[-1][-1] + timedelta(days=self.draw.randrange(45))
        for at, district in enumerate(districts):
            places = [self.place(district, code) for code in ("H01", "H02", "H03")[: self.draw.choice((2, 3))]]
            self.decisions(district, years[-1])
            for days in years:
                for place in places:
                    self.school_year(place, days)
                for number in range(self.draw.randrange(4, 9)):
                    self.child(places, student(100 * at + number), days)
            self.words_of_one_moment(places, years[-1])
        self.look_ahead(years[-1])
        return self.world

    def words_of_one_moment(self, places: list[Place], days: list[date]) -> None:
        """Draw words on rolls that came without a version in one batch: all have its moment, and landed one by one."""
        draw = random.Random(f"{self.world.seed} {places[0].district} one moment")
        for place in places:
            if place.closes_by_rule or draw.random() < 0.5:
                continue
            names: dict[str, Any] = {"district": place.district, "school": place.code, "feed": place.feed}
            for day in draw.sample(days, 4):
                for landed in range(draw.choice((1, 2, 3, 4))):
                    say = draw.choice((completion, reopening))
                    self.tell(say(day, MOMENT, landed=landed, **names))

    def look_ahead(self, days: list[date]) -> None:
        """Draw that it is an earlier day: of what is still to come districts know absences, and nothing else."""
        draw = random.Random(f"{self.world.seed} looks ahead")
        if draw.random() < 0.3:
            today = self.world.today = draw.choice(days[-12:-2])
            self.world.facts = [fact for fact in self.world.facts if not _is_known_later(fact, today)]

    def tell(self, fact: Event) -> None:
        """Add a fact."""
        self.world.facts.append(fact)

    def place(self, district: str, code: str) -> Place:
        """Draw a school, and declare its feed where anybody would."""
        kind = self.draw.choice(("exceptions", "exceptions", "exceptions", "full", "full", "by_rule", "no_rosters"))
        of_school = {"district": district, "school": code}
        tracks = ("seniors", "kindergarten")[: self.draw.choice((0, 0, 1, 2))]
        if kind == "by_rule":
            self.tell(feed("full", 3, closing="third_school_day", **of_school))
            tracks = ()
        elif kind == "no_rosters":
            self.tell(feed("full", 3, rosters=False, **of_school))
        elif self.chance(0.15):
            self.tell(feed(self.draw.choice(("exceptions", "full")), 3, **of_school))
        if self.chance(0.1):
            self.tell(feed("exceptions", 2, **of_school))
        reports = kind if kind == "exceptions" else "full"
        return Place(district, code, reports, kind != "no_rosters", kind == "by_rule", tracks)

    def decisions(self, district: str, days: list[date]) -> None:
        """Draw what a district decides: how it reports, by which policy, and if it is live."""
        if self.chance(0.15):
            self.tell(feed(self.draw.choice(("exceptions", "full")), self.draw.randrange(5), district=district))
        for version in range(1, self.draw.choice((0, 0, 1, 1, 2)) + 1):
            absence = {
                "min_enrolled_days": self.draw.choice((5, 10, 15, 20)),
                "early_warning": self.chance(0.8),
                "early_absences": self.draw.choice((1, 2, 3)),
                "early_days": self.draw.choice((10, 20, 30)),
                "accumulator": self.draw.choice(("district", "district", "school")),
            }
            begins = self.draw.choice((date(2025, 7, 1), *days, days[-1] + timedelta(days=200)))
            self.tell(policy(version, begins, district=district, **absence))
        said = self.draw.choice(
            ((), (), (), ("rehearsal",), ("rehearsal", "live"), ("paused", "live"), ("live", "rehearsal", "live"))
        )
        at = 0.0
        for version, each in enumerate(said, start=1):
            self.world.statuses.append((at, status(each, version, district=district)))
            at = self.draw.uniform(at, 1.0)

    def school_year(self, place: Place, days: list[date]) -> None:
        """Draw a school's calendars and what it says of its rolls."""
        names: dict[str, Any] = _names(place)
        said = self.draw.choice(("exceptions", "full")) if self.chance(0.1) else place.feed
        if place.closes_by_rule or self.chance(0.85):
            self.tell(calendar(days, feed=said, **names))
            if self.chance(0.6):
                snow = self.draw.choice(days[5:])
                self.tell(calendar([day for day in days if day != snow], feed=said, version=2, **names))
            if self.chance(0.2):
                made_up = days[-1] + timedelta(days=1 if days[-1].weekday() < 4 else 3)
                self.tell(calendar([*days[:-3], made_up], feed=said, version=self.draw.choice((1, 2, 3)), **names))
            for track in place.tracks:
                if self.chance(0.7):
                    # Of a year of few days a track may have all of them.
                    own = days[self.draw.randrange(6) : len(days) - self.draw.randrange(8)] or days
                    self.tell(calendar(own, feed=said, track=track, version=self.draw.choice((1, 2)), **names))
        if not place.closes_by_rule:
            for day in days:
                self.words(place, day)

    def words(self, place: Place, day: date) -> None:
        """Draw what a school says of one day's roll."""
        names: dict[str, Any] = {"district": place.district, "school": place.code, "feed": place.feed}
        if self.chance(0.06):
            return
        self.tell(roll(day, **names) if self.chance(0.4) else completion(day, self.draw.randrange(1, 4), **names))
        if self.chance(0.07):
            self.tell(reopening(day, self.draw.randrange(4), **names))
            if self.chance(0.4):
                self.tell(completion(day, self.draw.randrange(2, 5), **names))

    def child(self, places: list[Place], who: UUID, days: list[date]) -> None:
        """Draw a child's year: where enrolled, and which days are marked there."""
        there = self.draw.sample(places, k=self.draw.choice((1, 1, 1, 2)))
        person = UUID(int=who.int ^ 1) if self.chance(0.5) else None
        number = UUID(int=who.int ^ 2) if self.chance(0.3) else None
        for order, place in enumerate(there):
            is_known = place.rosters or order == 1 or self.chance(0.3)
            if is_known:
                self.stints(places, place, who, days, is_second=order == 1, person_key=person, number_key=number)
            share = self.draw.choice((0.02, 0.06, 0.12, 0.12, 0.3))
            for day in days:
                self.marks(place, (who, number) if number and is_known else (who,), day, share)
        if self.chance(0.1):
            self.tell(mark(who, days[0] - timedelta(days=self.draw.randrange(2, 40)), **_names(there[0])))

    def stints(
        self, places: list[Place], place: Place, who: UUID, days: list[date], *, is_second: bool, **faces: UUID | None
    ) -> None:
        """Draw a child's enrolments at a school, and what is said of them later."""
        name = f"{place.code}-{days[0].year}"
        household = UUID(int=who.int ^ 4 ^ self.draw.choice((0, 8)))
        fields: dict[str, Any] = {"grade": self.draw.choice(GRADES), "household_key": household} | faces
        fields |= {"entry": self.draw.choice(days) if is_second else days[0], "stint": name} | _names(place)
        if place.tracks and self.chance(0.5):
            fields["track"] = self.draw.choice(place.tracks)
        if not is_second and self.chance(0.35):
            fields |= {"exit_date": self.draw.choice(days), "exit_day_counts": self.chance(0.5)}
        if self.chance(0.93):
            self.tell(stint(who, **fields))
        if self.chance(0.12):  # told as a stint of another school than it is
            other = self.draw.choice([each for each in places if each.rosters] or places)
            self.tell(stint(who, **fields | _names(other), version=2))
        if self.chance(0.08):
            self.tell(stint(who, **fields, version=3, withdrawn=True))
        if self.chance(0.15):  # an exit that is told long after it, with marks behind it
            left = self.draw.choice([day for day in days if day >= fields["entry"]])
            self.tell(stint(who, **fields | {"exit_date": left, "exit_day_counts": self.chance(0.5)}, version=4))
        if self.chance(0.12):  # gone and back, the first stay sometimes left open
            back = {"entry": self.draw.choice(days), "exit_date": None, "stint": f"{name}-again"}
            self.tell(stint(who, **fields | back, version=5))
        if faces.get("number_key") is not None:
            self.joins(who, fields)

    def joins(self, who: UUID, fields: dict[str, Any]) -> None:
        """Draw what becomes of a join: taken back, or the number is another child's after all."""
        if self.chance(0.2):
            self.tell(stint(who, **fields | {"number_key": None}, version=6))
        if self.chance(0.2):
            other = UUID(int=who.int ^ 16)
            self.tell(stint(other, **fields | {"stint": f"{fields['stint']}-other"}, version=self.draw.choice((0, 7))))
        self.alone(fields)

    def alone(self, fields: dict[str, Any]) -> None:
        """Draw what is told with the state's number alone: another stint, or the same one before or after."""
        number, name = fields["number_key"], fields["stint"]
        draw = random.Random(f"{self.world.seed} {number} {name} alone")
        if draw.random() < 0.6:
            return
        days = school_days(30, fields["entry"])
        told = fields | {"number_key": None, "entry": draw.choice(days), "grade": draw.choice(GRADES)}
        told |= {"school": draw.choice(("H01", "H02", fields["school"]))}
        told |= {"stint": draw.choice((name, f"{name}-state")), "version": draw.choice((0, 9))}
        self.tell(stint(number, **told))
        if draw.random() < 0.2:
            self.tell(stint(number, **told | {"version": 12, "exit_date": told["entry"] + timedelta(days=9)}))
        if draw.random() < 0.15:
            self.tell(stint(number, **told | {"version": 14, "withdrawn": True}))

    def marks(self, place: Place, numbers: tuple[UUID, ...], day: date, share: float) -> None:
        """Draw what a school says of a child's day, with one of its numbers or with several."""
        missed = self.chance(share)
        if not missed and place.feed == "exceptions" and not self.chance(0.04):
            return
        who = self.draw.choice(numbers)
        self.tell(self.mark(place, who, day, self.draw.choice(ABSENCES if missed else CATEGORIES[:7])))
        if self.chance(0.1):
            again = self.mark(place, self.draw.choice(numbers), day, self.draw.choice(CATEGORIES))
            self.tell(again.model_copy(update={"source_version": self.draw.choice((0, 1, 2))}))
        if self.chance(0.06):
            version = self.draw.choice((1, 2, 3))
            self.tell(retraction(who, day, version=version, district=place.district, school=place.code))

    def mark(self, place: Place, who: UUID, day: date, category: str) -> Any:
        """Draw a mark of a category, sometimes with parts of the day, sometimes of an upload."""
        fields: dict[str, Any] = _names(place)
        if self.chance(0.12):
            fields |= {"present_parts": self.draw.choice((0, 1, 2, 3)), "day_parts": self.draw.choice((2, 4, 6))}
        if self.chance(0.05):
            fields["receipt"] = self.draw.choice(self.receipts)
        return mark(who, day, category, **fields)


def _is_known_later(fact: Event, today: date) -> bool:
    if isinstance(fact, AttendanceRecorded):
        return fact.school_day > today and fact.category.value not in ABSENCES
    return isinstance(fact, RollCompleted | RollRecorded | RollReopened) and fact.school_day > today


def _names(place: Place) -> dict[str, Any]:
    return {"district": place.district, "school": place.code}


def a_world(seed: int) -> World:
    """Make the world of a seed."""
    return Maker(seed).make()
