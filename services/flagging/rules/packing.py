"""How the days of a page's students lie in a row: the commonest set of days once, then those that differ.

A set of days is an int, bit n the n-th day after 1 July, and 46 bytes, the first day in the lowest bit of the first
byte: PostgreSQL's get_bit() counts in the same way.
"""

from array import array
from collections import Counter
from collections.abc import Sequence

WIDTH = 46
_EACH, _COMMONEST = b"\0", b"\1"
"""A first byte tells the form: 46 bytes for each student; or the commonest, then place and 46 bytes of each other."""


def pack_set(days: int) -> bytes:
    """Write one set of days."""
    return days.to_bytes(WIDTH, "little")


def unpack_set(packed: bytes) -> int:
    """Read one set of days."""
    return int.from_bytes(packed, "little")


def pack_sets(sets: Sequence[int]) -> bytes:
    """Write the sets of at most 256 students."""
    if not sets:
        return b""
    ((commonest, times),) = Counter(sets).most_common(1)
    if 2 * times <= len(sets):
        return _EACH + b"".join([days.to_bytes(WIDTH, "little") for days in sets])
    others = [
        place.to_bytes(1, "little") + days.to_bytes(WIDTH, "little")
        for place, days in enumerate(sets)
        if days != commonest
    ]
    return _COMMONEST + commonest.to_bytes(WIDTH, "little") + b"".join(others)


def unpack_sets(packed: bytes, count: int) -> list[int]:
    """Read the sets of so many students."""
    if not count:
        return []
    read = int.from_bytes
    if packed[:1] == _EACH:
        return [read(packed[at : at + WIDTH], "little") for at in range(1, len(packed), WIDTH)]
    sets = [read(packed[1 : 1 + WIDTH], "little")] * count
    for at in range(1 + WIDTH, len(packed), 1 + WIDTH):
        sets[packed[at]] = read(packed[at + 1 : at + 1 + WIDTH], "little")
    return sets


def pack_versions(versions: Sequence[int]) -> bytes:
    """Write a version for each mark, or one for all where they agree."""
    agree = bool(versions) and versions.count(versions[0]) == len(versions)
    return array("q", versions[:1] if agree else versions).tobytes()


def unpack_versions(packed: bytes, count: int) -> list[int]:
    """Read the versions of so many marks."""
    versions = array("q", packed).tolist()
    return versions * count if len(versions) == 1 else versions


def pack_keys(keys: Sequence[bytes]) -> bytes:
    """Write the students' keys, 16 bytes each."""
    return b"".join(keys)


def unpack_keys(packed: bytes) -> list[bytes]:
    """Read the students' keys."""
    return [packed[at : at + 16] for at in range(0, len(packed), 16)]
