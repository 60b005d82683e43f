"""`make faults` in short: three kinds of fault on the whole system, two of each service; nothing is lost or doubled."""

from pathlib import Path

from tests.faults.__main__ import SHORT
from tests.faults.bed import Shape, running
from tests.faults.ledger import Ledger, as_json, lines, markdown
from tests.faults.rounds import Rounds, play_all
from tests.faults.town import Town

STUDENTS, KILLS, TIMES, LOAD_SECONDS = 40, 4, 1, 8.0


async def test_nothing_is_lost_doubled_wrong_or_stuck_and_a_broken_off_run_goes_on(tmp_path: Path) -> None:
    town = Town(seed=1, students=STUDENTS)
    for kinds in (SHORT[:2], SHORT[2:]):
        # The second time on what the first has stored, as after an interruption: with the books intact.
        async with running(tmp_path, Shape()) as bed:
            ledger = Ledger.of(tmp_path, seed=town.seed)
            rounds = Rounds(bed, town, ledger, load_seconds=LOAD_SECONDS)
            try:
                await play_all(rounds, kinds, kills=KILLS, times=TIMES)
                children = dict(rounds.reader.told.levels)
            finally:
                await rounds.stop()
        assert [each.found for each in ledger.rounds] == [[] for _ in ledger.rounds]
        assert sum(level != "none" for _, level in children.values()) > 5, "the comparison would prove nothing"

    assert [each.kind for each in ledger.rounds] == list(SHORT)
    assert ledger.done()["service kill -9"] == KILLS * len(SHORT)
    assert {line["fault"] for line in lines(ledger)} == {*SHORT, "service kill -9"}
    assert ("0 | 0 | 0 | 0 |" in markdown(ledger), '"clean": true' in as_json(ledger)) == (True, True)
