"""Who may use a service: the people of one installation, each with a role, scopes and a sign-in key.

The file is read again when it changes. It is written by `leap people`, whole and in one step.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from services.runtime.seen import telemetry
from services.runtime.settings import NAMES_PER_HOUR, SettingsRejected
from services.runtime.web.keys import is_of_before, is_ours, sha256_of

EVERYTHING = "*"
NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Scope = Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,47})$")]
_NO_HASH = "0" * 64


class Door(NamedTuple):
    """Through which door somebody came: `page`, `api` or `command`, and the route there, as method and pattern."""

    name: str = "api"
    route: str = ""
    names_per_hour: int = NAMES_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is signed in. `scopes` are the parts of the whole that they may see; `*` is all of it.

    `door` is where they ask now: what they are shown is recorded with it.
    """

    name: str
    display_name: str
    role: str
    scopes: frozenset[str]
    language: str
    door: Door = field(default=Door(), compare=False)

    def may_see(self, scope: str) -> bool:
        """Tell whether the scope is theirs. Answer 404 where it is not: that it exists is knowledge too."""
        return EVERYTHING in self.scopes or scope in self.scopes

    @property
    def sees_everything(self) -> bool:
        """Tell whether every scope is theirs, those that don't exist yet included."""
        return EVERYTHING in self.scopes


class DeclaredPerson(BaseModel):
    """One person as the file declares them. `key` is of a key made here; `key_sha256` of one of the release before."""

    model_config = ConfigDict(extra="forbid")

    display_name: Annotated[str, Field(min_length=1, max_length=80)]
    role: Annotated[str, Field(pattern=r"^[a-z]+$")]
    scopes: list[Scope]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] = "en"
    key: Annotated[str | None, Field(pattern=r"^sha256:[0-9a-f]{64}$", repr=False)] = None
    key_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", repr=False)] = None
    expires: AwareDatetime | None = None

    @property
    def hash_of_key(self) -> str:
        """Give the SHA-256 of the key; of nobody's key where there is none."""
        return self.key.removeprefix("sha256:") if self.key is not None else self.key_sha256 or _NO_HASH


class DeclaredPeople(BaseModel):
    """The file: who may sign in with a key, and who may not whatever a provider says."""

    model_config = ConfigDict(extra="forbid")

    # Of the release before, which signed every service's sessions with it. Nobody reads it any more.
    secret: Annotated[str | None, Field(pattern=r"^[0-9a-f]{32,}$", repr=False)] = None
    people: dict[Annotated[str, Field(pattern=NAME)], DeclaredPerson]
    withdrawn: dict[Annotated[str, Field(pattern=NAME)], AwareDatetime] = {}

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the file. Raises SettingsRejected, which names what is wrong and no value."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise SettingsRejected(f"LEAP_PEOPLE_FILE: can't be read ({type(error).__name__})") from None
        except ValidationError as error:
            wrong = sorted(
                {
                    ".".join(map(str, fault["loc"])) or "not JSON"
                    for fault in error.errors(include_input=False, include_url=False)
                }
            )
            raise SettingsRejected(f"LEAP_PEOPLE_FILE: correct {', '.join(wrong[:5])}") from None


class People:
    """Everybody who may sign in. Keys are known by their SHA-256 only: they are random, so no salt is needed."""

    def __init__(self, declared: DeclaredPeople, file: Path | None = None) -> None:
        self._file = file
        self._seen = _stamp(file)
        self._take(declared)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read the file. Raises SettingsRejected, which names what is wrong and no value."""
        stamp = _stamp(file)
        known = cls(DeclaredPeople.read(file), file)
        known._seen = stamp  # of before it was read: what changed meanwhile is read again
        return known

    def reread(self) -> bool:
        """Read the file again where it has changed, and tell whether other people are known now.

        One that can't be used leaves those who were known before, and says so once.
        """
        stamp = _stamp(self._file)
        if self._file is None or stamp == self._seen:
            return False
        self._seen = stamp
        log = structlog.get_logger(__name__)
        try:
            declared = DeclaredPeople.read(self._file)
        except SettingsRejected as error:
            telemetry.FILE_BROKEN.labels("people").set(1)
            log.error("the people file can't be used, who was known before stays", problem=str(error))
            return False
        self._take(declared)
        log.info("the people file was read again", people=len(self._people))
        return True

    def _take(self, declared: DeclaredPeople) -> None:
        self._people = {
            name: Person(
                name=name,
                display_name=each.display_name,
                role=each.role,
                scopes=frozenset(each.scopes),
                language=each.language,
            )
            for name, each in declared.people.items()
        }
        self._declared: Mapping[str, DeclaredPerson] = declared.people
        self._withdrawn = frozenset(declared.withdrawn)
        self._name_by_hash = {each.hash_of_key: name for name, each in declared.people.items()}
        self._name_by_hash.pop(_NO_HASH, None)
        telemetry.FILE_BROKEN.labels("people").set(0)

    def __iter__(self) -> Iterator[Person]:
        return (person for name, person in self._people.items() if self._may_come(name))

    def named(self, name: str) -> Person | None:
        """Find a person by name; nobody is found whose time is over or who was withdrawn."""
        return self._people.get(name) if self._may_come(name) else None

    def with_key(self, key: str) -> Person | None:
        """Find the person whose key this is."""
        name = self._name_by_hash.get(sha256_of(key))
        return self.named(name) if name is not None and self._has_form(name, key) else None

    def signing_in(self, *, name: str, key: str) -> Person | None:
        """Find the person if name and key go together, in the same time whichever of them is wrong."""
        declared = self._declared.get(name)
        matches = hmac.compare_digest(declared.hash_of_key if declared is not None else _NO_HASH, sha256_of(key))
        return self.named(name) if matches and self._has_form(name, key) else None

    def mark_of(self, name: str) -> str:
        """Give what changes when a person's key does; a session made with the old one ends by it."""
        declared = self._declared.get(name)
        return declared.hash_of_key if declared is not None else _NO_HASH

    def is_withdrawn(self, name: str) -> bool:
        """Tell whether somebody said that this name may not come in, by whatever door."""
        return name in self._withdrawn

    def _may_come(self, name: str) -> bool:
        declared = self._declared.get(name)
        if declared is None or name in self._withdrawn:
            return False
        # The real time, not a simulated one: keys end for people, not for the children of a replayed year.
        return declared.expires is None or datetime.now(UTC) < declared.expires

    def _has_form(self, name: str, key: str) -> bool:
        return is_ours(key) or (self._declared[name].key is None and is_of_before(key))


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None
