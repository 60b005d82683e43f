"""What the SQL is given: the moment as events spell it."""

from datetime import UTC, datetime


def moment_text() -> str:
    """Spell the present moment as events carry it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
