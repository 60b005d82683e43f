"""Two accounts of a school day held against each other: counts, and a sum that doesn't depend on any order. No I/O."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from deploy.audit.sent import Said, Sent


class Account(NamedTuple):
    """What stands of a day: how many marks, and their digest. Two accounts of the same marks are equal."""

    marks: int
    digest: str


class Disagreement(NamedTuple):
    """How many marks are missing from the tables, were never sent, say something else there, or are there twice."""

    lost: int = 0
    unknown: int = 0
    other: int = 0
    doubled: int = 0

    def __bool__(self) -> bool:
        return any(self)


AGREED = Disagreement()


def account(marks: Iterable[Sent]) -> Account:
    """Count marks and add up a hash of each: the order is no matter, and a second copy changes the sum."""
    count, total = 0, 0
    for student, version, said in marks:
        told = b"\0".join((student, *(str(each).encode() for each in (version, *said))))
        total += int.from_bytes(blake2b(told, digest_size=16).digest(), "big")
        count += 1
    return Account(count, f"{total % 2**128:032x}")


def newest(marks: Iterable[Sent]) -> dict[bytes, tuple[int, set[Said]]]:
    """Find what stands of each student: the newest version, and of equal ones an absence before a presence.

    Where two agree in that and differ in words, either may stand.
    """
    standing: dict[bytes, tuple[int, set[Said]]] = {}
    for student, version, said in marks:
        known = standing.get(student)
        if known is None or version > known[0]:
            standing[student] = version, {said}
        elif version == known[0]:
            known[1].add(said)
    for _, every in standing.values():
        if absent := {said for said in every if said.is_absence}:
            every &= absent
    return standing


def compare(sent: Sequence[Sent], kept: Sequence[Sent], *, is_whole: bool = True) -> tuple[Account, Account]:
    """Give the account of what was sent and that of what is kept, of one school day.

    Where the log no longer holds all that was sent (`is_whole`), marks of which it holds nothing are left out of both,
    and so are those that are kept with a newer version.
    """
    standing = newest(sent)
    if not is_whole:
        kept = [each for each in kept if each.student in standing]
        newer = {each.student for each in kept if each.version > standing[each.student][0]}
        kept = [each for each in kept if each.student not in newer]
        standing = {student: each for student, each in standing.items() if student not in newer}
    kept_said = {(each.student, each.version): each.said for each in kept}
    expected = (
        Sent(student, version, _either(every, kept_said.get((student, version))))
        for student, (version, every) in standing.items()
    )
    return account(expected), account(kept)


def disagreement(sent: Sequence[Sent], kept: Sequence[Sent]) -> Disagreement:
    """Say in numbers what differs."""
    standing = newest(sent)
    times = Counter(each.student for each in kept)
    agreeing = {
        each.student
        for each in kept
        if each.student in standing
        and each.version == standing[each.student][0]
        and each.said in standing[each.student][1]
    }
    return Disagreement(
        lost=len(standing.keys() - times.keys()),
        unknown=len(times.keys() - standing.keys()),
        other=len((times.keys() & standing.keys()) - agreeing),
        doubled=sum(count - 1 for count in times.values()),
    )


def _either(every: set[Said], kept: Said | None) -> Said:
    return kept if kept in every else min(every, key=str)
