"""What the SQL is given: columns in place of rows, and the moment as events spell it."""

from collections.abc import Sequence
from datetime import UTC, datetime


def moment_text() -> str:
    """Spell the present moment as events carry it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def transposed(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Turn rows of this width into columns, for unnest; no rows give empty columns."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
