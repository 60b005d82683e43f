"""Which cells stay hidden, as the rule says it and as slowly: every exchange with every row is weighed."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from services.reporting.rules.suppression import PROTECTION, Part, Sum, small_cells

Cells = Mapping[str, Sum[str]]
Exchange = dict[Part, int]

FAR = 40
"""So many rows of other groups are tried, as the rule says."""


class SlowSearch:
    """Small cells first; then for each the cheapest exchange; then what turns out not to be needed shows again."""

    def __init__(
        self, parts: Mapping[Part, int], cells: Cells, groups: Mapping[Any, Any], moves: Sequence[Mapping[Any, int]]
    ) -> None:
        self.parts, self.cells, self.groups, self.moves = parts, cells, groups, moves
        self.values = {
            key: sum(times * parts[part] for part, times in cell.parts.items()) for key, cell in cells.items()
        }
        self.columns = sorted({column for _, column in parts}, key=repr)
        self.rows = sorted({row for row, _ in parts}, key=repr)

    def hidden(self) -> frozenset[str]:
        """Find every cell that must be hidden."""
        small = small_cells(self.parts, self.cells)
        hidden = set(small)
        proofs: dict[str, frozenset[str]] = {}
        for key in sorted(small, key=repr):
            if key not in proofs:
                changed = self._cheapest(key, hidden)
                assert changed is not None
                hidden |= changed
                proofs = dict.fromkeys(changed, changed) | proofs
        for key in sorted(hidden - small, key=lambda key: (-self._worth(key), repr(key))):
            without = hidden - {key}
            resting = {each for each in without if key in proofs[each]}
            others = {each: self._cheapest(each, without, free=True) for each in sorted(resting, key=repr)}
            if None not in others.values():
                hidden = without
                proofs = {each: others.get(each) or proof for each, proof in proofs.items() if each != key}
        return frozenset(hidden)

    def _worth(self, key: str) -> int:
        return (self.values[key] + 1) * self.cells[key].worth

    def _cheapest(self, key: str, hidden: set[str], *, free: bool = False) -> frozenset[str] | None:
        found = []
        for exchange in self._exchanges(key):
            net = self._net(exchange)
            cost = sum(self._worth(each) for each in net if each not in hidden)
            if key in net and self._room(exchange, net) >= PROTECTION and not (free and cost):
                found.append((cost, frozenset(net)))
        return min(found, key=lambda each: each[0])[1] if found else None

    def _exchanges(self, key: str) -> Iterator[Exchange]:
        for row, column in sorted(self.cells[key].parts, key=repr):
            here, others = (row, column), [*self._partners(row, column)]
            moves = [move for move in self.moves if column in move]
            across = [each for each in self.columns if each != column and (row, each) in self.parts]
            for other in others:
                for each in across:
                    yield {here: 1, (other, column): -1, (row, each): -1, (other, each): 1}
                for move in moves:
                    yield {(row, each): times for each, times in move.items()} | {
                        (other, each): -times for each, times in move.items()
                    }
            yield from ({here: 1, (other, column): -1} for other in others)
            yield from ({here: 1, (row, each): -1} for each in across)
            yield from ({(row, each): times for each, times in move.items()} for move in moves)
            yield {here: 1}

    def _partners(self, row: Hashable, column: Hashable) -> Iterator[Hashable]:
        others = [other for other in self.rows if other != row and (other, column) in self.parts]
        group = self.groups.get(row)
        near = [other for other in others if group is not None and self.groups.get(other) == group]
        far = [other for other in others if other not in near]
        far.sort(key=lambda other: (self.parts[other, column] <= 6, self.parts[other, column], repr(other)))
        yield from near
        yield from far[:FAR]

    def _net(self, exchange: Exchange) -> dict[str, int]:
        if not all(part in self.parts for part in exchange):
            return {}  # a square over a hole
        changes = {
            key: sum(moved * cell.parts.get(part, 0) for part, moved in exchange.items())
            for key, cell in self.cells.items()
        }
        return {key: change for key, change in changes.items() if change}

    def _room(self, exchange: Exchange, net: Mapping[str, int]) -> int:
        if 0 in {self.values[key] for key in net} | {self.parts[part] for part in exchange}:
            return 0
        steps = [(moved, self.parts[part] - 1) for part, moved in exchange.items()]
        steps += [(change, self.values[key] - 1) for key, change in net.items()]
        forwards = min((above // -step for step, above in steps if step < 0), default=10**9)
        backwards = min((above // step for step, above in steps if step > 0), default=10**9)
        return 6 * (forwards // 6 + backwards // 6)
