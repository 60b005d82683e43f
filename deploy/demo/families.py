"""How made-up families answer and what made-up visitors find at the door: drawn once per question, always the same."""

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from contracts.calendar import local_day

REACHED = 0.6
_ANSWERS = {"agreed": 62, "community": 9, "later": 9, "declined": 13, "phone": 4, "moved": 3}
_OUTCOMES = {
    "took_place": 83, "family_not_home": 9, "rescheduled_at_the_door": 3, "declined_today": 3, "unsafe_left": 2,
}  # fmt: skip
LOGGED_LATE, NEVER_LOGGED = 0.15, 0.04
FOLLOW_UP_VISIT, FOLLOW_UP_CALL = 0.45, 0.2
GOAL_MET = 0.3
_WAYS = ("call", "call", "text", "in_person", "letter")
_LATER_DAYS = (7, 21)
_SLOTS = (time(10), time(13, 30), time(15, 30), time(16, 30), time(17, 30))
_RESOURCES = ("health_insurance", "transport", "winter_clothes", "after_school", "tutoring")
_HOPES = (
    "Wants to read with the little one every evening.",
    "Would like to finish the year with friends.",
    "Hopes for a place in the summer programme.",
    "Looks forward to the science fair.",
)
_IN_THE_WAY = (
    ("The bus comes before anybody is awake.", "barriers"),
    ("Asthma, and no doctor near by.", "barriers"),
    ("Somebody is unkind in the lunch room.", "aversion"),
    ("School feels far away from what matters.", "disengagement"),
    ("Thought that excused days don't count.", "misconceptions"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What comes of one contact, in the words of the desk."""

    way: str
    answer: str
    contact_again_on: date | None = None


class Families:
    """Every family's mind. One question of one request has one answer, whenever and however often it is asked."""

    def __init__(self, seed: int, *, zone: ZoneInfo) -> None:
        self._seed = seed
        self.zone = zone

    def _chance(self, *question: object) -> random.Random:
        return random.Random(":".join(map(str, (self._seed, *question))))

    def attempt(self, household: str, nth: int, *, today: date) -> Attempt:
        """Say what the n-th contact with a household comes to."""
        chance = self._chance("contact", household, nth)
        way = chance.choice(_WAYS)
        if chance.random() >= REACHED:
            return Attempt(way, "not_reached")
        (answer,) = chance.choices(list(_ANSWERS), list(_ANSWERS.values()))
        again = today + timedelta(days=chance.randint(*_LATER_DAYS)) if answer == "later" else None
        return Attempt(way, answer, again)

    def times(self, household: str, nth: int, *, today: date) -> list[tuple[datetime, datetime]]:
        """Give three windows in which the family could, soonest first; nobody is visited on a Sunday."""
        chance = self._chance("times", household, nth)
        possible = [day for n in range(2, 9) if (day := today + timedelta(days=n)).weekday() < 6]
        found = []
        for day in sorted(chance.sample(possible, 3)):
            begins = datetime.combine(day, chance.choice(_SLOTS), self.zone)
            found.append((begins, begins + timedelta(hours=2)))
        return found

    def is_goal_met(self, household: str, nth: int) -> bool:
        """Say whether the family and the visitors find that they are done."""
        return self._chance("goal", household, nth).random() < GOAL_MET

    def days_until_logged(self, visit: str) -> int | None:
        """Say how many days after the visit its log is written; None: never."""
        chance = self._chance("logging", visit)
        luck = chance.random()
        if luck < NEVER_LOGGED:
            return None
        return chance.randint(2, 9) if luck < NEVER_LOGGED + LOGGED_LATE else 0

    def log(self, visit: str, *, starts_at: datetime, pair: list[str], place: str, language: str) -> dict[str, object]:
        """Tell a visit as its log: what happened, what the family said, what was promised."""
        chance = self._chance("log", visit)
        (outcome,) = chance.choices(list(_OUTCOMES), list(_OUTCOMES.values()))
        started = starts_at + timedelta(minutes=chance.randint(-5, 15))
        efforts = [
            {"visitor_id": visitor, "travel_minutes": chance.randint(5, 40), "mileage_tenths": chance.randint(5, 180)}
            for visitor in pair
        ]
        log: dict[str, object] = {
            "visit_id": visit, "outcome": outcome, "started_at": started.isoformat(), "pair": pair, "place": place,
            "efforts": efforts,
        }  # fmt: skip
        if outcome != "took_place":
            return log
        in_the_way, obstacle = chance.choice(_IN_THE_WAY)
        log |= {
            "ended_at": (started + timedelta(minutes=chance.randint(25, 75))).isoformat(),
            "language": language,
            "voice": {"hopes": chance.choice(_HOPES), "in_the_way": in_the_way, "obstacles": [obstacle]},
            "took_part": chance.sample(["mother", "father", "grandparent", "student"], 2),
            "left": ["attendance_tracker"],
        }
        if chance.random() < 0.35:
            log["referrals"] = [{"resource": chance.choice(_RESOURCES), "status": "offered"}]
        luck = chance.random()
        if luck < FOLLOW_UP_VISIT + FOLLOW_UP_CALL:
            due = local_day(started, zone=self.zone) + timedelta(days=chance.randint(10, 28))
            log["follow_up"] = {"due": due.isoformat(), "kind": "visit" if luck < FOLLOW_UP_VISIT else "call"}
        return log
