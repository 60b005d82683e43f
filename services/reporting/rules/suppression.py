"""Which cells of published tables stay hidden: small ones, and others so that no hidden value can be solved for.

A count is hidden when it is under 6, or when a published share of it has a denominator under 20; a denominator when it
is under 20. A true zero may show. That alone hides nothing where totals are published: the reader subtracts.

So every table is described by the parts it is made of (`Part`: a row and a column of the finest table, for instance a
school's chronically absent students of one grade band), and a cell as a sum of parts, however many tables it stands in.
For each hidden cell an *exchange* is sought: some students moved from one part to another, and back elsewhere, so that
every cell still shown stays exactly as it is, while the hidden one may differ by at least PROTECTION. What the exchange
does change is hidden too. The exchange is the proof: a reader who knows every shown number can't tell the true table
from the one after it, and so can't know the hidden value more closely than that. Counts are told by sixes (`sixes`): an
exchange is made in whole sixes, which leave as they are what is told of sums as well.
"""

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.reporting.rules.sixes import SIX

SMALLEST_NUMERATOR = 6
SMALLEST_DENOMINATOR = 20
PROTECTION = 5
"""A hidden count's possible values span at least this much: as much as between 1 and 6."""

# How many rows beyond the cell's own group are tried as partners. The smallest that suffice come first.
_FAR_PARTNERS = 40

Part = tuple[Hashable, Hashable]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Sum(Generic[K]):
    """A published cell: how often each part counts in it, the cells it is shown as a share of, its smallest value.

    `worth` is how much more it would be missed than another of its size: cells worth less are hidden for its sake.
    """

    parts: Mapping[Part, int]
    share_of: tuple[K, ...] = ()
    smallest: int = SMALLEST_NUMERATOR
    worth: int = 1


def is_small(numerator: int, denominator: int | None = None) -> bool:
    """Say whether a count, or a share of `denominator`, must be hidden by itself. A true zero may show."""
    if numerator == 0:
        return False
    return numerator < SMALLEST_NUMERATOR or (denominator is not None and denominator < SMALLEST_DENOMINATOR)


def may_show(*, numerator: int, denominator: int) -> bool:
    """Say whether a share, a mean or a median over `denominator` may be shown."""
    return denominator >= SMALLEST_DENOMINATOR and not is_small(numerator, denominator)


def small_cells(parts: Mapping[Part, int], cells: Mapping[K, Sum[K]]) -> set[K]:
    """Find the cells hidden for what they are themselves."""
    value_by_cell = {key: _value(cell, parts) for key, cell in cells.items()}
    return {
        key
        for key, cell in cells.items()
        if 0 < value_by_cell[key] < cell.smallest
        or (value_by_cell[key] > 0 and any(value_by_cell[whole] < SMALLEST_DENOMINATOR for whole in cell.share_of))
    }


def hidden_cells(
    parts: Mapping[Part, int],
    cells: Mapping[K, Sum[K]],
    group_by_row: Mapping[Hashable, Hashable] | None = None,
    moves: Sequence[Mapping[Any, int]] = (),
) -> frozenset[K]:
    """Find every cell that must be hidden, complementary ones included.

    `parts` are the true values, no part missing; `group_by_row` names the rows that are tried as partners first.
    `moves` are changes within a row, by column, worth trying beside moving one from a column to another.
    """
    search = _Search(parts, cells, group_by_row or {}, moves)
    small = small_cells(parts, cells)
    search.hidden |= small
    for key in search.in_order(small):
        if key not in search.proof:
            search.protect(key)
    for key in sorted(search.in_order(search.hidden - small), key=lambda key: -search.worth(key)):
        search.show_again(key)
    return frozenset(search.hidden)


def _value(cell: Sum[K], parts: Mapping[Part, int]) -> int:
    return sum(times * parts.get(part, 0) for part, times in cell.parts.items())


class _Search(Generic[K]):
    def __init__(
        self,
        parts: Mapping[Part, int],
        cells: Mapping[K, Sum[K]],
        group_by_row: Mapping[Hashable, Hashable],
        moves: Sequence[Mapping[Any, int]],
    ) -> None:
        self.moves = moves
        self.parts = parts
        self.cells = cells
        self.value_by_cell = {key: _value(cell, parts) for key, cell in cells.items()}
        self.hidden: set[K] = set()
        self.proof: dict[K, frozenset[K]] = {}
        self._proved_with: defaultdict[K, set[K]] = defaultdict(set)
        self._place = {key: place for place, key in enumerate(sorted(cells, key=repr))}
        self._cells_by_part: defaultdict[Part, list[tuple[K, int]]] = defaultdict(list)
        for key, cell in cells.items():
            for part, times in cell.parts.items():
                self._cells_by_part[part].append((key, times))
        self._columns = sorted({column for _, column in parts}, key=repr)
        self._in_one_row = {key for key, cell in cells.items() if len({row for row, _ in cell.parts}) == 1}
        self._of_one_part = {key for key, cell in cells.items() if len(cell.parts) == 1}
        # Squares may hold up what falls with a part, but for cells of nothing else; moves from row to row hold up none.
        self._slack_in_squares = {part: self._slack_of(part, self._of_one_part) for part in parts}
        self._slack = {part: self._slack_of(part, self._in_one_row) for part in parts}
        self._partners_in_squares = _Partners(parts, group_by_row, self._slack_in_squares)
        self._partners = _Partners(parts, group_by_row, self._slack)

    def in_order(self, keys: Iterable[K]) -> list[K]:
        """Sort cells: always in the same order, whatever order they came in."""
        return sorted(keys, key=self._place.__getitem__)

    def protect(self, key: K) -> None:
        """Hide what the cheapest sufficient exchange changes; one part alone always suffices."""
        changed = self._cheapest(key)
        assert changed is not None, "an exchange of one part with nothing has no upper end"
        self.hidden |= changed
        for each in changed:
            if each not in self.proof:
                self._prove(each, changed)

    def show_again(self, key: K) -> None:
        """Show a cell that was hidden for others' sake, if each of them has another proof without it."""
        self.hidden.discard(key)
        found: dict[K, frozenset[K]] = {}
        for each in self.in_order(self._proved_with[key] - {key}):
            changed = self._cheapest(each, hide_more=False)
            if changed is None:
                self.hidden.add(key)
                return
            found[each] = changed
        self._forget(key)
        for each, changed in found.items():
            self._forget(each)
            self._prove(each, changed)

    def _prove(self, key: K, changed: frozenset[K]) -> None:
        self.proof[key] = changed
        for each in changed:
            self._proved_with[each].add(key)

    def _forget(self, key: K) -> None:
        for each in self.proof.pop(key):
            self._proved_with[each].discard(key)

    def _cheapest(self, key: K, *, hide_more: bool = True) -> frozenset[K] | None:
        """The cells that the cheapest sufficient exchange changes; None if there is none within what is hidden."""
        best: tuple[int, frozenset[K]] | None = None
        for exchange in self._exchanges(key):
            at_least = self._cost_at_least(exchange)
            if (at_least and not hide_more) or (best is not None and at_least >= best[0]):
                continue
            net = self._net(exchange)
            if key not in net:
                continue
            cost = sum(self.worth(each) for each in net if each not in self.hidden)
            if (cost and not hide_more) or (best is not None and cost >= best[0]):
                continue
            if self._room(exchange, net) >= PROTECTION:
                best = (cost, frozenset(net))
                if cost == 0:
                    break
        return best[1] if best is not None else None

    def _exchanges(self, key: K) -> Iterable[dict[Part, int]]:
        """Squares first: some more here and fewer there, and the reverse in another column, so that sums stay."""
        for here in sorted(self.cells[key].parts, key=repr):
            row, column = here
            yield from self._squares(key, row, column)
            for other in self._partners.of(row, column, least=PROTECTION - self._slack[here]):
                yield {here: 1, (other, column): -1}
            for across in self._columns:
                if across != column and (row, across) in self.parts:
                    yield {here: 1, (row, across): -1}
            for move in self.moves:
                if column in move:
                    yield {(row, each): times for each, times in move.items()}
            yield {here: 1}

    def _squares(self, key: K, row: Hashable, column: Hashable) -> Iterable[dict[Part, int]]:
        here, times = (row, column), self.cells[key].parts
        others = [each for each in self._columns if each != column and (row, each) in self.parts]
        moves = [move for move in self.moves if column in move]
        if key in self._in_one_row:
            # Nothing of another row can change the cell: what leaves it as it is in its own row is no exchange for it.
            others = [each for each in others if times[here] != times.get((row, each), 0)]
            moves = [move for move in moves if sum(moved * times.get((row, each), 0) for each, moved in move.items())]
        if not others and not moves:
            return
        for other in self._partners_in_squares.of(row, column, least=PROTECTION - self._slack_in_squares[here]):
            for across in others:
                if (other, across) in self.parts:
                    yield {here: 1, (other, column): -1, (row, across): -1, (other, across): 1}
            for move in moves:
                if all((one, each) in self.parts for one in (row, other) for each in move):
                    yield {(row, each): moved for each, moved in move.items()} | {
                        (other, each): -moved for each, moved in move.items()
                    }

    def worth(self, key: K) -> int:
        """Weigh what is lost by hiding the cell."""
        return (self.value_by_cell[key] + 1) * self.cells[key].worth

    def _slack_of(self, part: Part, falling: Set[K]) -> int:
        """How often a part can be lowered by one where these cells fall with it; -1: never."""
        cells = ((key, times) for key, times in self._cells_by_part[part] if key in falling)
        return min([self.parts[part], *((self.value_by_cell[key] - 1) // times for key, times in cells)])

    def _cost_at_least(self, exchange: Mapping[Part, int]) -> int:
        """What hiding the cells of one part costs: whatever else is exchanged, they change."""
        cells = (key for part in exchange for key, _ in self._cells_by_part[part])
        return sum(self.worth(key) for key in cells if key in self._of_one_part and key not in self.hidden)

    def _net(self, exchange: Mapping[Part, int]) -> dict[K, int]:
        """By how much each published cell changes when the exchange is made once."""
        net: defaultdict[K, int] = defaultdict(int)
        for part, moved in exchange.items():
            for key, times in self._cells_by_part[part]:
                net[key] += moved * times
        return {key: change for key, change in net.items() if change}

    def _room(self, exchange: Mapping[Part, int], net: Mapping[K, int]) -> int:
        """How often the exchange can be made forwards and backwards.

        No part and no hidden cell may fall under one: true zeros show, so that a cell is hidden says it is no zero.
        For the same reason a zero is never hidden for the sake of another cell, nor becomes more. Whole sixes count:
        less would change what is told of a sum that stays the same.
        """
        if any(self.value_by_cell[key] == 0 for key in net) or any(self.parts[part] == 0 for part in exchange):
            return 0
        forwards = backwards = 10**9
        for part, moved in exchange.items():
            above = (self.parts[part] - 1) // abs(moved)
            if moved < 0:
                forwards = min(forwards, above)
            else:
                backwards = min(backwards, above)
        for key, change in net.items():
            above = (self.value_by_cell[key] - 1) // abs(change)
            if change < 0:
                forwards = min(forwards, above)
            else:
                backwards = min(backwards, above)
        return forwards // SIX * SIX + backwards // SIX * SIX


class _Partners:
    """Which rows are tried as partners of one: its own group first, then others, the smallest that suffice first.

    An exchange lowers the part here or that of the partner. Where the two together can't be lowered PROTECTION times,
    no exchange between them is a proof: such partners, in a district of tiny schools all, are never looked at.
    """

    def __init__(
        self, parts: Mapping[Part, int], group_by_row: Mapping[Hashable, Hashable], slack: Mapping[Part, int]
    ) -> None:
        self._parts = parts
        self._group_by_row = group_by_row
        self._slack = slack
        self._by_group: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
        for row in sorted({row for row, _ in parts}, key=repr):
            self._by_group[group_by_row.get(row)].append(row)
        self._by_size: dict[Hashable, list[Hashable]] = {}
        self._near: dict[tuple[Hashable, Hashable, int], list[Hashable]] = {}
        self._far: dict[tuple[Hashable, Hashable], list[Hashable]] = {}

    def of(self, row: Hashable, column: Hashable, *, least: int) -> list[Hashable]:
        """List the rows whose part of the column can be lowered `least` times."""
        least, group = max(least, 0), self._group_by_row.get(row)
        far = [other for other in self._far_from(row, group, column) if self._slack[other, column] >= least]
        return [*(other for other in self._near_to(group, column, least) if other != row), *far]

    def _near_to(self, group: Hashable, column: Hashable, least: int) -> list[Hashable]:
        if group is None:
            return []
        if (group, column, least) not in self._near:
            self._near[group, column, least] = [
                other for other in self._by_group[group] if self._slack.get((other, column), -1) >= least
            ]
        return self._near[group, column, least]

    def _far_from(self, row: Hashable, group: Hashable, column: Hashable) -> list[Hashable]:
        if group is None:
            others = (other for other in self._sized(column) if other != row)
            return list(itertools.islice(others, _FAR_PARTNERS))
        if (group, column) not in self._far:
            others = (other for other in self._sized(column) if self._group_by_row.get(other) != group)
            self._far[group, column] = list(itertools.islice(others, _FAR_PARTNERS))
        return self._far[group, column]

    def _sized(self, column: Hashable) -> list[Hashable]:
        if column not in self._by_size:

            def size(other: Hashable) -> tuple[bool, int, str]:
                value = self._parts[other, column]
                return value <= SIX, value, repr(other)

            self._by_size[column] = sorted((row for row, each in self._parts if each == column), key=size)
        return self._by_size[column]
