"""Rows to columns: what a statement reads with `unnest` is one array for each column."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, overload


@overload
def columns(rows: Iterable[Iterable[object]], /, *, width: int) -> list[list[Any]]: ...
@overload
def columns(rows: Sequence[object], name: str, /, *names: str) -> list[list[Any]]: ...
def columns(rows: Iterable[Any], /, *names: str, width: int = 0) -> list[list[Any]]:
    """Turn rows into columns: by the names of their attributes, or by position, each row `width` values wide.

    Rows keep their order in every column. No rows give as many empty columns: a statement has as many parameters on a
    day when nothing happened. Raises ValueError where a row has another width: its values would stand in other columns.
    """
    if names:
        return [list(map(attrgetter(name), rows)) for name in names]
    turned = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
    if len(turned) != width:
        raise ValueError(f"the rows are {len(turned)} wide and not {width}")
    return turned
