"""What a batch of landed records forgets, and whom it knows again: kept, told, and the copies marked for clearing."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from contracts import events
from contracts.events.forgetting import key_of
from contracts.identities import identity as identity_of
from contracts.identities import microseconds
from contracts.topics import FORGOTTEN, HOUSEHOLD_CONTACTS, PARTITIONS
from services.ingest.handlers.messages import Sender
from services.ingest.rules.attendance import Identity
from services.ingest.rules.forgetting import FORGOTTEN_STUDENT, NOTHING, Memory, Remembered, memory_of
from services.ingest.rules.landing import (
    Calendar,
    Enrollment,
    ForgottenHousehold,
    ForgottenStudent,
    Household,
    RefusedMark,
    Rejection,
    RollMark,
)
from services.ingest.rules.pseudonyms import Pseudonyms
from services.ingest.store import contacts, forgotten
from services.runtime.delivery.forgotten import Kept, Word, keep
from services.runtime.delivery.publisher import partition_of
from services.runtime.delivery.transaction import Transaction, Written

HOUSEHOLD, STUDENT = forgotten.HOUSEHOLD, forgotten.STUDENT
_FORGOTTEN = {HOUSEHOLD: events.HouseholdForgotten, STUDENT: events.StudentForgotten}
_NUMBER = re.compile(r'"(household|student|state_student)"\s*:\s*"([^"\\]{1,64})"')
_FIRST_TEXT = re.compile(r'\s*\[\s*"([^"\\]{1,64})"')
_KNOWN_AGAIN = {HOUSEHOLD: events.HouseholdKnownAgain, STUDENT: events.StudentKnownAgain}


class Subject(NamedTuple):
    """Who is forgotten or known again: which kind, by which key, in which district."""

    kind: str
    key: str
    district: str


@dataclass(slots=True)
class Change:
    """What a batch says of one of them: when the last of it was appended, and how figures are to be dealt with."""

    identity: Identity
    figures: str | None = None
    numbers: set[str] = field(default_factory=set)
    is_deletion: bool = False


class Forgetting:
    """What districts' memories hold by now, and what of it is new in this batch."""

    def __init__(self, memories: Mapping[str, Memory]) -> None:
        self._memories = dict(memories)
        self.changes: dict[Subject, Change] = {}

    def students(self, district: str) -> Set[str]:
        """Give the keys of a district's students who are forgotten."""
        return self._memories.get(district, NOTHING).forgotten

    def forget(self, landed: ForgottenHousehold | ForgottenStudent, identity: Identity, sender: Sender) -> None:
        """Take in that somebody is to be forgotten: of a child every number that is named."""
        for kind, key, number in _named(landed, sender):
            subject = Subject(kind, key, identity.district)
            self._remember(subject, self.remembered(subject).with_deletion(landed.version))
            change = self.changes.setdefault(subject, Change(identity))
            change.identity, change.is_deletion = identity, True
            change.figures = landed.figures or change.figures
            change.numbers.add(number)

    def refusal(
        self, landed: Enrollment | Calendar | Household, identity: Identity, sender: Sender
    ) -> Rejection | None:
        """Say why a record of somebody forgotten may not come in; take in a word that they are known again."""
        if isinstance(landed, Calendar):
            return None
        pseudonyms = sender.origin.pseudonyms
        if isinstance(landed, Household):
            subjects = [Subject(HOUSEHOLD, pseudonyms.household_key(landed.household), identity.district)]
        else:
            numbers = _numbers_of(landed.student, landed.state_student)
            subjects = [Subject(STUDENT, key, identity.district) for key in pseudonyms.student_keys(numbers)]
        for subject in subjects:
            if refusal := self.remembered(subject).refusal(version=landed.version, again=landed.again):
                return refusal
        if landed.again:
            for subject in subjects:
                self._remember(subject, self.remembered(subject).with_word(landed.version))
                self.changes.setdefault(subject, Change(identity)).identity = identity
        return None

    def names_somebody(self, value: bytes | None, sender: Sender) -> bool:
        """Tell whether bytes that can't become a fact, however broken, hold the number of somebody who is forgotten."""
        memory = self._memories.get(sender.origin.district, NOTHING)
        if not memory.households and not memory.forgotten:
            return False
        pseudonyms = sender.origin.pseudonyms
        for name, number in _NUMBER.findall((value or b"").decode(errors="replace")):
            if name == "household":
                if self.is_forgotten(sender.origin.district, pseudonyms.household_key(number)):
                    return True
            elif _key(pseudonyms, name, number) in memory.forgotten:
                return True
        return False

    def is_forgotten(self, district: str, household_key: str) -> bool:
        """Tell whether a household is forgotten by now."""
        return self.remembered(Subject(HOUSEHOLD, household_key, district)).is_forgotten

    def remembered(self, subject: Subject) -> Remembered:
        """Give what is remembered of somebody."""
        memory = self._memories.get(subject.district, NOTHING)
        of_kind = memory.households if subject.kind == HOUSEHOLD else memory.students
        return of_kind.get(subject.key, Remembered())

    def _remember(self, subject: Subject, remembered: Remembered) -> None:
        memory = self._memories.get(subject.district, NOTHING)
        households, students = dict(memory.households), dict(memory.students)
        (households if subject.kind == HOUSEHOLD else students)[subject.key] = remembered
        self._memories[subject.district] = memory_of(households, students)


def _key(pseudonyms: Pseudonyms, name: str, number: str) -> str:
    if name == "state_student":
        return pseudonyms.student_key(student=None, state_student=number)
    return pseudonyms.student_key(student=number, state_student=None)


def _numbers_of(student: str | None, state_student: str | None) -> list[str]:
    numbers = [] if student is None else [student]
    return numbers if state_student is None else [*numbers, f"state:{state_student}"]


def _named(landed: ForgottenHousehold | ForgottenStudent, sender: Sender) -> list[tuple[str, str, str]]:
    pseudonyms = sender.origin.pseudonyms
    if isinstance(landed, ForgottenHousehold):
        return [(HOUSEHOLD, pseudonyms.household_key(landed.household), landed.household)]
    numbers = _numbers_of(landed.student, landed.state_student)
    keys = pseudonyms.student_keys(numbers)
    return [(STUDENT, key, number.removeprefix("state:")) for key, number in zip(keys, numbers, strict=True)]


Sifted = tuple[Sequence[RollMark], Sequence[int], Sequence[RefusedMark]]
"""Of a landed roll: the marks that go on, their places, and those that go back."""


def without(forgotten: Set[str], pseudonyms: Pseudonyms, sifted: Sifted) -> Sifted:
    """Part the marks of those who are forgotten from the others, and send back none of their bytes."""
    marks, places, refused = sifted
    refused = [_without_bytes(each) if _is_of(each, forgotten, pseudonyms) else each for each in refused]
    keys = pseudonyms.student_keys([mark.student for mark in marks])
    if forgotten.isdisjoint(keys):
        return marks, places, refused
    at_places = zip(keys, places, strict=True)
    gone = [RefusedMark(place, FORGOTTEN_STUDENT, b"") for key, place in at_places if key in forgotten]
    kept = [at for at, key in enumerate(keys) if key not in forgotten]
    return [marks[at] for at in kept], [places[at] for at in kept], [*refused, *gone]


def _is_of(refused: RefusedMark, forgotten: Set[str], pseudonyms: Pseudonyms) -> bool:
    # A mark that can't be read is an array all the same, mostly: its first text is the number.
    number = _FIRST_TEXT.match(refused.original.decode(errors="replace"))
    return number is not None and pseudonyms.student_keys([number[1]])[0] in forgotten


def _without_bytes(refused: RefusedMark) -> RefusedMark:
    rejection = Rejection(refused.rejection.reason, refused.rejection.detail, kept=False)
    return refused._replace(rejection=rejection, original=b"")


async def tell(tx: Transaction, forgetting: Forgetting) -> None:
    """Keep and tell what a batch forgets or knows again, in one transaction with the positions.

    How to reach a family goes with it: a record without a value takes the place of all that stood on its topic.
    """
    changes = forgetting.changes
    if not changes:
        return
    figures = await forgotten.figures_by_policy(tx.connection, {each.district for each in changes})
    cleared: defaultdict[str, set[str]] = defaultdict(set)
    for subject, change in sorted(changes.items()):
        remembered = forgetting.remembered(subject)
        if subject.kind == HOUSEHOLD and remembered.is_forgotten:
            # Whatever is known of them by now is meant too, under whichever version it came.
            known = await contacts.known_version(tx.connection, UUID(subject.key))
            remembered = remembered.with_deletion(known)
        chosen = change.figures or figures.get(subject.district, "kept")
        word = Word(subject.kind, UUID(subject.key), subject.district, *remembered, chosen, _moment(change.identity))
        (kept,) = await keep(tx.connection, [word])
        tell_subject(tx, subject, remembered, kept, change.identity)
        if change.is_deletion:
            cleared[subject.district] |= change.numbers
            if subject.kind == HOUSEHOLD and remembered.is_forgotten:
                take_back_contact(tx, subject.key)
            elif subject.kind == STUDENT and remembered.is_forgotten:
                await forgotten.want_unnamed(tx.connection, UUID(subject.key), subject.district)
    for district, numbers in cleared.items():
        await forgotten.drop_dead_letters(tx.connection, district=district, numbers=numbers)
    if cleared:
        # What takes data back is as old as the wish: nothing that was said after it lies behind it.
        await tx.caused_at(min(_ms(change.identity) for change in changes.values() if change.is_deletion))
        await forgotten.want_cut(tx.connection, sorted(cleared), rejected=True)


def tell_subject(tx: Transaction, subject: Subject, remembered: Remembered, kept: Kept, identity: Identity) -> None:
    """Tell how it stands with somebody: forgotten up to a version, or known again since."""
    facts: dict[str, Any] = {"district": subject.district, f"{subject.kind}_key": UUID(subject.key)}
    if remembered.is_forgotten:
        kind: Any = _FORGOTTEN[subject.kind]
        facts |= {"version": remembered.version, "figures": kept.figures}
    elif remembered.version >= 0:
        kind = _KNOWN_AGAIN[subject.kind]
        facts |= {
            "version": remembered.again,
            "forgotten_version": remembered.version,
            "forgotten_at": kept.forgotten_at,
            "figures": kept.figures,
        }
    else:
        return  # nobody ever wanted them forgotten: only kept here, should an older wish still come
    event_id = identity_of(kind.EVENT_TYPE, identity.event_id, subject.key)
    tell_forgetting(tx, kind(event_id=event_id, event_type=kind.EVENT_TYPE, occurred_at=_moment(identity), **facts))


def tell_forgetting(tx: Transaction, event: events.Forgetting) -> None:
    """Tell one word of what is forgotten, in its district's order, under a key of its own."""
    tx.emit(topic=FORGOTTEN, key=key_of(event), partition=partition_of(event.district, PARTITIONS), event=event)


def take_back_contact(tx: Transaction, household_key: str) -> None:
    """Take a household's contact data back for good: a record without a value."""
    nothing = Written(identity_of("contact-forgotten", household_key), "household-contact.forgotten", "")
    tx.emit(
        topic=HOUSEHOLD_CONTACTS, key=household_key, partition=partition_of(household_key, PARTITIONS), event=nothing
    )


def _moment(identity: Identity) -> datetime:
    return datetime.fromisoformat(identity.occurred_at)


def _ms(identity: Identity) -> int:
    return microseconds(_moment(identity)) // 1000
