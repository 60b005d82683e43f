"""Who is held while the group behind catches up: the flood of a lane, and nobody who shares it."""

from aiokafka import TopicPartition

from services.runtime.delivery.pace import AHEAD_SECONDS, NEAR_SECONDS, Lane, Pace, Pacing, floods

FLOOD, SMALL, ELSEWHERE = (TopicPartition(f"in-{name}", 0) for name in ("flood", "small", "elsewhere"))
LANES = {FLOOD: 3, SMALL: 3, ELSEWHERE: 7}


def pacing() -> Pacing:
    return Pacing(Pace(group="behind", topic="out", lane_of=lambda _: 3))


def at(flood: int, small: int = 10, elsewhere: int = 0) -> dict[TopicPartition, int]:
    return {FLOOD: flood, SMALL: small, ELSEWHERE: elsewhere}


def test_a_flood_is_held_and_those_who_share_its_lane_are_not() -> None:
    paced = pacing()
    for second in range(8):
        written = 5_000 * second
        paced.decide(
            float(second), at(written, 10 + second, written), LANES, {3: (written, 5_000), 7: (written, written)}
        )
    assert paced.held == {FLOOD}


def test_it_is_read_again_once_the_group_behind_is_near() -> None:
    paced = pacing()
    for second in range(8):
        paced.decide(float(second), at(5_000 * second), LANES, {3: (5_000 * second, 5_000)})
    assert paced.held == {FLOOD}
    paced.decide(8.0, at(35_000), LANES, {3: (35_000, 34_000)})
    assert paced.held == set(), "what is left has been there for a second"


def test_nobody_is_held_where_the_group_behind_keeps_up() -> None:
    paced = pacing()
    for second in range(60):
        written = 5_000 * second
        paced.decide(float(second), at(written), LANES, {3: (written, max(0, written - 5_000))})
        assert paced.held == set()


def test_nobody_is_held_where_all_write_alike() -> None:
    """A usual morning with flagging away: it is behind, and no district is the reason."""
    many = {TopicPartition(f"in-{number}", 0): 3 for number in range(8)}
    paced = Pacing(Pace(group="behind", topic="out", lane_of=lambda _: 3))
    for second in range(60):
        paced.decide(float(second), dict.fromkeys(many, 500 * second), many, {3: (4_000 * second, 1)})
    assert paced.held == set()


def test_a_lane_of_which_the_group_never_told_holds_nobody() -> None:
    paced = pacing()
    for second in range(60):
        paced.decide(float(second), at(5_000 * second), LANES, {})
    assert paced.held == set()


def test_a_few_records_are_no_flood() -> None:
    assert floods({FLOOD: 999}) == set()
    assert floods({FLOOD: 1_000, SMALL: 4_001}) == {SMALL}
    assert floods({FLOOD: 1_000, SMALL: 4_000}) == {FLOOD, SMALL}


def test_how_long_a_lane_is_behind_is_the_age_of_what_is_not_read() -> None:
    lane = Lane()
    lane.see(0.0, end=100, read=0)
    lane.see(5.0, end=200, read=0)
    assert lane.seconds_behind(6.0) == 6.0 > AHEAD_SECONDS
    lane.see(6.0, end=200, read=100)
    assert lane.seconds_behind(6.5) == 1.5 < NEAR_SECONDS
    lane.see(7.0, end=200, read=200)
    assert lane.seconds_behind(60.0) == 0.0
