"""Proposed pairs: none ever breaks a hard rule, and the better one comes first, with its reasons."""

from datetime import datetime, time, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import Away, Booking, Meeting, Visitor, Window, say
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.proposals import Proposals, WhoCould, propose_pairs, starts_in
from tests.unit.scheduling.who_goes import FAMILY, NOW, TUESDAY, at, booking, meeting, visitor
from tests.zones import HERE

POLICY = Policy(min_notice_hours=0)


def proposed(*visitors: Visitor, **fields: Any) -> Proposals:
    """The answer for one hour at four, unless the test says otherwise."""
    known = {name: fields.pop(name) for name in ("visits_before", "moving") if name in fields}
    who = WhoCould(visitors=visitors, bookings=fields.pop("bookings", {}), **known)
    asked: dict[str, Any] = {"meeting": meeting(), "ends_at": at(17), "who": who, "policy": POLICY, "as_of": NOW}
    return propose_pairs(**asked | fields)


def first_codes(proposals: Proposals) -> list[str]:
    return [reason.code for reason in proposals.pairs[0].reasons if reason.points]


def test_two_who_can_are_proposed_with_their_reasons() -> None:
    (pair,) = proposed(visitor("ben"), visitor("ana")).pairs
    assert (pair.pair, pair.starts_at, pair.interpreter) == (("ana", "ben"), at(16), False)
    assert [say(reason) for reason in pair.reasons] == [
        "ana speaks en",
        "ana has 0 of 6 visits that week",
        "ben has 0 of 6 visits that week",
    ]


def test_those_who_know_the_family_come_first() -> None:
    proposals = proposed(visitor("ana"), visitor("ben"), visitor("cem"), visits_before={"ben": 2, "cem": 1})
    assert proposals.pairs[0].pair == ("ben", "cem")
    assert first_codes(proposals).count("knows_family") == 2


def test_one_from_the_school_is_worth_something_and_two_are_worth_no_more() -> None:
    teachers = [visitor(name, affiliation="school", school="H01") for name in ("tia", "tom")]
    proposals = proposed(visitor("ana"), visitor("ben"), *teachers)
    assert len({pair.points for pair in proposals.pairs}) == 1
    assert ("ana", "ben") not in [pair.pair for pair in proposals.pairs]
    elsewhere = proposed(visitor("ana"), visitor("zed", affiliation="school", school="H09"))
    assert "from_school" not in first_codes(elsewhere)


def test_who_speaks_the_language_spares_the_interpreter_and_rare_languages_are_spared_elsewhere() -> None:
    pia, sam = visitor("pia", languages=("en", "pt")), visitor("sam", languages=("en", "es"))
    crowd = [visitor(name, languages=("en", "es")) for name in ("sue", "sol")]
    spanish = proposed(pia, sam, *crowd, meeting=meeting(language="es"))
    assert "pia" not in spanish.pairs[0].pair
    assert any(r.code == "scarce" for p in spanish.pairs if "pia" in p.pair for r in p.reasons)
    portuguese = proposed(pia, sam, meeting=meeting(language="pt"))
    assert not portuguese.pairs[0].interpreter
    assert proposed(sam, *crowd, meeting=meeting(language="pt")).pairs[0].interpreter


def test_the_load_of_the_week_is_shared() -> None:
    busy = {"ana": [booking(at(9, days=1), number=n) for n in (1,)]}
    proposals = proposed(visitor("ana"), visitor("ben"), visitor("cem"), bookings=busy)
    assert proposals.pairs[0].pair == ("ben", "cem")


def test_who_is_near_that_day_is_worth_something() -> None:
    near = {"cem": [booking(at(13), "cem")]}
    proposals = proposed(
        visitor("ana"), visitor("ben"), visitor("cem"), bookings=near, meeting=meeting(schools=frozenset({"H02"}))
    )
    assert "cem" in proposals.pairs[0].pair
    assert "near" in first_codes(proposals)


def test_in_a_window_each_pair_gets_the_start_at_which_both_can() -> None:
    late = visitor("ben", windows=(Window(weekday=2, begins=time(17, 30), ends=time(20)),))
    (pair,) = proposed(visitor("ana"), late, meeting=meeting(at(15, 40)), ends_at=at(20)).pairs
    assert pair.starts_at == at(17, 30)


def test_starts_are_the_windows_own_and_then_each_half_hour() -> None:
    starts = list(starts_in(begins_at=at(15, 40), ends_at=at(17, 40), minutes=60))
    assert starts == [at(15, 40), at(16), at(16, 30)]
    assert list(starts_in(begins_at=at(16), ends_at=at(16, 30), minutes=60)) == []


def test_where_nobody_can_it_is_said_why() -> None:
    def why(*visitors: Visitor, **fields: Any) -> str:
        reason = proposed(*visitors, **fields).why_none
        assert reason is not None
        return reason.code

    assert why() == "nobody"
    assert why(visitor("ana")) == "only_one"
    early = visitor("ben", windows=(Window(weekday=2, begins=time(8), ends=time(17)),))
    late = visitor("cem", windows=(Window(weekday=2, begins=time(17), ends=time(20)),))
    assert why(early, late, ends_at=at(20)) == "never_together"
    only_german = meeting(language="de", interpreter=False)
    assert why(visitor("ana"), visitor("ben"), meeting=only_german) == "language"
    assert why(visitor("ana"), visitor("ben"), meeting=meeting(at(2)), ends_at=at(5)) == "night"
    assert why(visitor("ana"), visitor("ben"), ends_at=at(16, 30)) == "window"
    assert why(visitor("ana"), visitor("ben"), ends_at=at(16, days=3)) == "window"


def test_those_who_can_not_go_are_named_with_their_first_reason() -> None:
    away = visitor("ben", away=(Away(first_day=TUESDAY, last_day=TUESDAY),))
    kept_away = visitor("cem", excluded_households=frozenset({FAMILY}))
    hindered = proposed(visitor("ana"), away, kept_away).hindered
    assert [(each.visitor_id, each.reason.code) for each in hindered] == [("ben", "away"), ("cem", "excluded")]


LANGUAGES = st.lists(st.sampled_from(["en", "es", "pt", "pt-BR", "pl"]), min_size=1, max_size=3, unique=True)
HOURS = st.tuples(st.integers(7, 15), st.integers(1, 8))


@st.composite
def visitors_and_bookings(draw: st.DrawFn) -> tuple[list[Visitor], dict[str, list[Booking]]]:
    """Up to six visitors with whatever hours, training, caps and bookings."""
    people, bookings = [], {}
    for number in range(draw(st.integers(0, 6))):
        name = f"v{number}"
        begins, length = draw(HOURS)
        people.append(
            visitor(
                name,
                languages=tuple(draw(LANGUAGES)),
                active=draw(st.booleans()),
                affiliation="school",
                school=draw(st.sampled_from(["H01", "H02"])),
                windows=(Window(weekday=draw(st.integers(1, 3)), begins=time(begins), ends=time(begins + length)),)
                if draw(st.booleans())
                else (),
                away=(Away(first_day=TUESDAY, last_day=TUESDAY),) if draw(st.integers(0, 5)) == 0 else (),
                leap101_valid_until=TUESDAY - timedelta(days=draw(st.integers(-1, 1))),
                weekly_cap=draw(st.integers(0, 3)),
                excluded_households=frozenset({FAMILY}) if draw(st.integers(0, 5)) == 0 else frozenset(),
            )
        )
        hours = draw(st.lists(st.integers(8, 18), max_size=2, unique=True))
        bookings[name] = [booking(at(hour), name, number=10 * number + n) for n, hour in enumerate(hours)]
    return people, bookings


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Meeting, datetime]:
    """A visit that is wanted at some time of the Tuesday, and the end of its window."""
    starts_at = at(draw(st.integers(6, 19)), draw(st.sampled_from([0, 10, 45])))
    wished = meeting(
        starts_at,
        minutes=draw(st.sampled_from([30, 60, 90])),
        language=draw(st.sampled_from(["en", "es", "pt", "de"])),
        interpreter=draw(st.sampled_from([None, True, False])),
    )
    return wished, starts_at + timedelta(minutes=wished.minutes + draw(st.integers(0, 300)))


@settings(max_examples=300)
@given(visitors_and_bookings(), wishes())
def test_no_proposed_pair_ever_breaks_a_hard_rule_and_none_that_keeps_all_is_held_back(
    world: tuple[list[Visitor], dict[str, list[Booking]]], wish: tuple[Meeting, datetime]
) -> None:
    (people, bookings), (wished, ends_at) = world, wish
    known = {each.visitor_id: each for each in people}
    proposals = propose_pairs(
        meeting=wished,
        ends_at=ends_at,
        who=WhoCould(visitors=people, bookings=bookings),
        policy=POLICY,
        as_of=NOW,
        limit=100,
    )

    allowed = set()
    for start in starts_in(begins_at=wished.starts_at, ends_at=ends_at, minutes=wished.minutes):
        wanted = meeting(start, minutes=wished.minutes, language=wished.language, interpreter=wished.interpreter)
        if pairing.hindrances_of_time(starts_at=start, minutes=wished.minutes, policy=POLICY, as_of=NOW, zone=HERE):
            continue
        for one in known:
            for other in known:
                rules = pairing.hindrances_of_pair(
                    pair=(one, other), visitors=known, meeting=wanted, bookings=bookings, policy=POLICY
                )
                if one < other and not rules:
                    allowed.add((one, other, start))
    assert {pair.pair for pair in proposals.pairs} == {(one, other) for one, other, _ in allowed}
    assert all((*pair.pair, pair.starts_at) in allowed for pair in proposals.pairs)
    assert [pair.points for pair in proposals.pairs] == sorted((p.points for p in proposals.pairs), reverse=True)
    assert all(pair.points == sum(reason.points for reason in pair.reasons) for pair in proposals.pairs)
    assert (proposals.why_none is None) is bool(proposals.pairs)


@given(visitors_and_bookings(), wishes(), st.randoms())
def test_the_order_in_which_visitors_are_listed_changes_nothing(
    world: tuple[list[Visitor], dict[str, list[Booking]]], wish: tuple[Meeting, datetime], chance: Any
) -> None:
    (people, bookings), (wished, ends_at) = world, wish
    shuffled = list(people)
    chance.shuffle(shuffled)
    asked: dict[str, Any] = {"meeting": wished, "ends_at": ends_at, "bookings": bookings}
    assert proposed(*people, **asked) == proposed(*shuffled, **asked)
