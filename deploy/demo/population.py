"""Who lives in the simulated state: schools, students, households with siblings, who moves. All invented."""

import random
from dataclasses import dataclass, field
from datetime import date

from deploy.demo import absences
from deploy.demo.calendars import DistrictYear, district_year, draw_storms
from deploy.demo.districts import CHRONIC_PERCENT_BY_GRADE, DISTRICTS, District

PRE_K_SHARE = 0.035
MOVES_A_YEAR = 0.04
MOVES_TO_ANOTHER_DISTRICT = 0.4
NEEDS_INTERPRETER = 0.5
_HOUSEHOLD_SIZES, _HOUSEHOLD_WEIGHTS = (1, 2, 3, 4), (45, 37, 14, 4)
_LANGUAGES, _LANGUAGE_WEIGHTS = ("es", "pt", "ht", "pl", "ar", "zh"), (72, 11, 6, 4, 4, 3)
_LEVELS = (
    ("E", ("PK", "K", "1", "2", "3", "4", "5"), 420),
    ("M", ("6", "7", "8"), 650),
    ("H", ("9", "10", "11", "12"), 1_100),
)

_GIVEN_NAMES = (
    "Acorn", "Birch", "Clover", "Dune", "Ember", "Fern", "Glen", "Heath", "Indigo", "Juniper", "Kestrel", "Lark",
    "Maple", "Nettle", "Oak", "Pebble", "Quill", "Reed", "Sorrel", "Thistle", "Umber", "Vale", "Willow", "Yarrow",
)  # fmt: skip
_FAMILY_NAMES = (
    "Example", "Sample", "Placeholder", "Madeup", "Fictive", "Nobody", "Specimen", "Pretend", "Invented", "Imaginary",
    "Mockley", "Testwood", "Demofield", "Standin", "Notreal", "Anyone",
)  # fmt: skip
_STREETS = ("Sample Street", "Example Avenue", "Pretend Road", "Placeholder Lane", "Invented Way")


@dataclass(slots=True, kw_only=True, eq=False)
class Student:
    """A student at one district. A mover is one Student per district, with one state number and one tendency."""

    number: str
    state_number: str
    grade: str
    given_name: str
    family_name: str
    household: str
    chances: tuple[float, float, float, float]
    absent_last_day: bool = False
    stints: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """Students who live together, and an invented way to reach them (555-01xx numbers belong to nobody)."""

    code: str
    contact_name: str
    phone: str
    address: str
    language: str
    interpreter_needed: bool
    students: tuple[Student, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class School:
    """One school and who attends it today."""

    code: str
    grades: tuple[str, ...]
    students: list[Student] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """From `day` on a student attends `to_school`. The old school tells `exit_told_after` school days later."""

    day: date
    student: Student
    from_district: str
    from_school: str
    to_district: str
    to_school: str
    arriving: Student
    household: Household | None
    exit_told_after: int


@dataclass(slots=True, kw_only=True, eq=False)
class Town:
    """One district with its schools, households and year, before the first school day."""

    district: District
    schools: dict[str, School]
    households: tuple[Household, ...]
    year: DistrictYear
    moves: dict[date, list[Move]] = field(default_factory=dict)


def settle(*, seed: int, scale: float, school_year: int) -> dict[str, Town]:
    """Make the whole state before its first school day, the same one for the same seed, scale and year."""
    storms = draw_storms(school_year=school_year, rng=random.Random(f"{seed}:storms:{school_year}"))
    towns = {
        district.code: _settle_town(
            district, ordinal=ordinal, seed=seed, scale=scale, school_year=school_year, storms=storms
        )
        for ordinal, district in enumerate(DISTRICTS, start=1)
    }
    _draw_moves(towns, rng=random.Random(f"{seed}:moves:{school_year}"))
    return towns


def _settle_town(
    district: District, *, ordinal: int, seed: int, scale: float, school_year: int, storms: tuple[date, ...]
) -> Town:
    rng = random.Random(f"{seed}:{district.code}:people")
    schools = _found_schools(district, scale=scale)
    grades = _draw_grades(round(district.students * scale), rng=rng)
    rates = absences.draw_rates(
        weights=[CHRONIC_PERCENT_BY_GRADE.get(grade, CHRONIC_PERCENT_BY_GRADE["K"]) for grade in grades],
        chronic_share=district.chronic_percent / 100,
        rng=rng,
    )

    households: list[Household] = []
    taken = 0
    while taken < len(grades):
        size = min(rng.choices(_HOUSEHOLD_SIZES, _HOUSEHOLD_WEIGHTS)[0], len(grades) - taken)
        family_name = rng.choice(_FAMILY_NAMES)
        code = f"HH{ordinal:02d}{len(households):06d}"
        members = tuple(
            Student(
                number=f"{ordinal:02d}{100_000 + nth}",
                state_number=f"9{ordinal:02d}{nth:07d}",
                grade=grades[nth],
                given_name=rng.choice(_GIVEN_NAMES),
                family_name=family_name,
                household=code,
                chances=absences.chances_of_absence(rate=rates[nth]),
            )
            for nth in range(taken, taken + size)
        )
        taken += size
        households.append(_draw_household(code, members, family_name=family_name, district=district, rng=rng))
        for student in members:
            rng.choice([school for school in schools.values() if student.grade in school.grades]).students.append(
                student
            )

    year = district_year(
        school_year=school_year,
        schools=tuple(schools),
        storms=storms,
        rng=random.Random(f"{seed}:{district.code}:calendar:{school_year}"),
    )
    return Town(district=district, schools=schools, households=tuple(households), year=year)


def _found_schools(district: District, *, scale: float) -> dict[str, School]:
    """Schools shrink as well as thin out, so that a small state still has several schools in a district."""
    schools: dict[str, School] = {}
    for prefix, grades, size in _LEVELS:
        students = district.students * scale * len(grades) / 13
        for nth in range(max(1, round(students / (size * scale**0.5)))):
            code = f"{prefix}{nth + 1:02d}"
            schools[code] = School(code=code, grades=grades)
    return schools


def _draw_grades(students: int, *, rng: random.Random) -> list[str]:
    kindergarten_to_twelve = list(CHRONIC_PERCENT_BY_GRADE)
    grades = [kindergarten_to_twelve[nth % 13] for nth in range(students)]
    grades += ["PK"] * round(students * PRE_K_SHARE)
    rng.shuffle(grades)
    return grades


def _draw_household(
    code: str, members: tuple[Student, ...], *, family_name: str, district: District, rng: random.Random
) -> Household:
    learners = rng.random() * 100 < district.english_learners_percent
    return Household(
        code=code,
        contact_name=f"{rng.choice(_GIVEN_NAMES)} {family_name}",
        phone=f"{rng.choice(('203', '860'))}-555-{rng.randint(100, 199):04d}",
        address=f"{rng.randint(1, 400)} {rng.choice(_STREETS)}, {district.name}",
        language=rng.choices(_LANGUAGES, _LANGUAGE_WEIGHTS)[0] if learners else "en",
        interpreter_needed=learners and rng.random() < NEEDS_INTERPRETER,
        students=members,
    )


def _draw_moves(towns: dict[str, Town], *, rng: random.Random) -> None:
    """Each student moves at most once a year, on a day on which both schools have planned to teach."""
    codes = list(towns)
    arrivals = 0
    for town in towns.values():
        for school in town.schools.values():
            for student in school.students:
                if rng.random() >= MOVES_A_YEAR:
                    continue
                leaves = rng.random() < MOVES_TO_ANOTHER_DISTRICT
                target = towns[rng.choice(codes)] if leaves else town
                day = rng.choice(town.year.planned[10:-10])
                told_after = rng.choice((0, 0, 1, 2, 5))
                open_to = [
                    other for other in target.schools.values() if student.grade in other.grades and other is not school
                ]
                if not open_to or day not in target.year.planned:
                    continue
                arrivals += 1
                arriving, household = _arrive(student, town=town, target=target, arrival=arrivals, rng=rng)
                move = Move(
                    day=day,
                    student=student,
                    from_district=town.district.code,
                    from_school=school.code,
                    to_district=target.district.code,
                    to_school=rng.choice(open_to).code,
                    arriving=arriving,
                    household=household,
                    exit_told_after=told_after,
                )
                for side in {town.district.code, target.district.code}:
                    towns[side].moves.setdefault(day, []).append(move)


def _arrive(
    student: Student, *, town: Town, target: Town, arrival: int, rng: random.Random
) -> tuple[Student, Household | None]:
    """A new district gives a new local number and a new household; the state number stays."""
    if target is town:
        return student, None
    code = f"HHM{arrival:06d}"
    arriving = Student(
        number=f"M{700_000 + arrival}",
        state_number=student.state_number,
        grade=student.grade,
        given_name=student.given_name,
        family_name=student.family_name,
        household=code,
        chances=student.chances,
    )
    household = _draw_household(code, (arriving,), family_name=student.family_name, district=target.district, rng=rng)
    return arriving, household
