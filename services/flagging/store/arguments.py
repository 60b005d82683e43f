"""What the SQL is given: the moment as events spell it, and sets of days as PostgreSQL spells them."""

from services.runtime import clock


def moment_text() -> str:
    """Spell the present moment, of the moved clock where it is moved, as events carry it."""
    return clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def days_of_bits(bits: str) -> int:
    """Read a set of days: the first character is 1 July, the lowest bit."""
    return int(bits[::-1], 2)


def bits_of_days(days: int) -> str:
    """Write a set of days as PostgreSQL's bit(366)."""
    return f"{days:0366b}"[::-1]
