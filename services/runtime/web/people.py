"""Who may use a service: the people of one installation, each with a role, scopes and a sign-in key."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.runtime.settings import NAMES_PER_HOUR, SettingsRejected

EVERYTHING = "*"
NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


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


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid")

    display_name: Annotated[str, Field(min_length=1, max_length=80)]
    role: Annotated[str, Field(pattern=r"^[a-z]+$")]
    scopes: list[Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,47})$")]]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] = "en"
    key_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{32,}$", repr=False)]
    people: dict[Annotated[str, Field(pattern=NAME)], _Declared]


class People:
    """Everybody who may sign in. Keys are known by their SHA-256 only: they are random, so no salt is needed."""

    def __init__(self, *, secret: str, people: Mapping[str, Person], key_sha256_by_name: Mapping[str, str]) -> None:
        self.secret = secret
        self._people = dict(people)
        self._key_sha256_by_name = dict(key_sha256_by_name)
        self._name_by_key_sha256 = {sha256: name for name, sha256 in key_sha256_by_name.items()}

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read the file. Raises SettingsRejected, which names what is wrong and no value."""
        try:
            declared = _File.model_validate_json(file.read_bytes())
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
        return cls(
            secret=declared.secret,
            people={
                name: Person(
                    name=name,
                    display_name=each.display_name,
                    role=each.role,
                    scopes=frozenset(each.scopes),
                    language=each.language,
                )
                for name, each in declared.people.items()
            },
            key_sha256_by_name={name: each.key_sha256 for name, each in declared.people.items()},
        )

    def __iter__(self) -> Iterator[Person]:
        return iter(self._people.values())

    def named(self, name: str) -> Person | None:
        """Find a person by name."""
        return self._people.get(name)

    def with_key(self, key: str) -> Person | None:
        """Find the person whose key this is."""
        name = self._name_by_key_sha256.get(sha256_of(key))
        return self._people[name] if name is not None else None

    def signing_in(self, *, name: str, key: str) -> Person | None:
        """Find the person if name and key go together, in the same time whichever of them is wrong."""
        matches = hmac.compare_digest(self.mark_of(name), sha256_of(key))
        return self._people.get(name) if matches else None

    def mark_of(self, name: str) -> str:
        """Give what changes when a person's key does; a session made with the old one ends by it."""
        return self._key_sha256_by_name.get(name, "0" * 64)


def sha256_of(key: str) -> str:
    """Give what the people file holds of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
