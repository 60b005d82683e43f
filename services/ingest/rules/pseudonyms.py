"""Who a student is to the rest of the system: keyed hashes under a secret that never leaves ingest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from hmac import compare_digest

from contracts.topics import landing_topics


class Pseudonyms:
    """One district's keyed hashes. Every key is the text of a UUID, so that PostgreSQL keeps it in 16 bytes."""

    __slots__ = ("_contact", "_household", "_person", "_stint", "_student")

    def __init__(self, *, secret: bytes, state_secret: bytes) -> None:
        # Keyed once and copied per student: setting up the key costs as much as hashing.
        self._student = blake2b(key=secret, digest_size=16, person=b"student")
        self._household = blake2b(key=secret, digest_size=16, person=b"household")
        self._stint = blake2b(key=secret, digest_size=16, person=b"stint")
        self._contact = blake2b(key=secret, digest_size=16, person=b"contact")
        self._person = blake2b(key=state_secret, digest_size=16, person=b"person")

    def student_key(self, *, student: str | None, state_student: str | None) -> str:
        """Hash the local number, or the state's number where the district sends no local one."""
        return _of(self._student, student if student is not None else f"state:{state_student}")

    def student_keys(self, numbers: Iterable[str]) -> list[str]:
        """Hash many numbers, as `student_key` does one; the state's are spelt `state:9001`."""
        keys = []
        for number in numbers:
            keyed = self._student.copy()
            keyed.update(number.encode())
            digits = keyed.hexdigest()
            keys.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
        return keys

    def person_key(self, state_student: str) -> str:
        """Hash the state's number under the state's secret: the same key in every district."""
        return _of(self._person, state_student)

    def household_key(self, household: str) -> str:
        """Hash the district's own number of a household."""
        return _of(self._household, household)

    def contact(self, written: bytes) -> bytes:
        """Hash what is said of a household: equal where the same is said, and nothing of it can be read."""
        keyed = self._contact.copy()
        keyed.update(written)
        return keyed.digest()

    def stint(self, enrollment_id: str) -> str:
        """Hash the source's id of an enrolment to 32 hexadecimal digits."""
        keyed = self._stint.copy()
        keyed.update(enrollment_id.encode())
        return keyed.hexdigest()


def uuid_text(digits: str) -> str:
    """Write 32 hexadecimal digits as the text of a UUID."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _of(hasher: blake2b, number: str) -> str:
    keyed = hasher.copy()
    keyed.update(number.encode())
    return uuid_text(keyed.hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Districts:
    """The districts that may send, their secrets and the digests of their tokens.

    A record's district is that of its landing topic: the only place it is ever taken from.
    """

    pseudonyms: dict[str, Pseudonyms]
    token_digests: dict[str, bytes]
    by_landing_topic: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        by_topic = {topic: district for district in self.pseudonyms for topic in landing_topics(district)}
        object.__setattr__(self, "by_landing_topic", by_topic)

    def district_of_token(self, token: str) -> str | None:
        """Name the district a bearer token belongs to; None for an unknown one.

        Every district's digest is compared, each in constant time: how long it takes tells nothing.
        """
        digest = sha256(token.encode()).digest()
        owner = None
        for district, known in self.token_digests.items():
            if compare_digest(digest, known):
                owner = district
        return owner
