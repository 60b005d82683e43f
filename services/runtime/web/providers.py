"""Which identity providers vouch for people here, and what a group of theirs means: a table, read when it changes.

[valley]
title = "The Valley"                     # on the sign-in page
issuer = "https://login.valley.example"
client_id = "leap"
client_secret_file = "valley.secret"     # beside this file
scopes = ["valley"]                      # what it may give at most

[valley.groups."leap-desk"]              # the first that somebody is in decides
role = "clerk"

[valley.names]                           # who has a name here already; everybody else is `valley.USERNAME`
"m.vega" = "marisol"
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from services.runtime.settings import SettingsRejected
from services.runtime.web.people import EVERYTHING, NAME, Person, Scope

PROVIDER = r"^[a-z0-9][a-z0-9-]{0,23}$"
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]*")
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a provider said of somebody. `groups` are those that the table names, in its order."""

    subject: str
    username: str
    display_name: str
    language: str
    groups: tuple[str, ...]


class Group(BaseModel):
    """What members of a group are here. Without scopes: those of the provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Annotated[str, Field(pattern=r"^[a-z]+$")]
    scopes: list[Scope] | None = None


class DeclaredProvider(BaseModel):
    """One provider as the table declares it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1, max_length=60)]
    issuer: str
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    scopes: Annotated[list[Scope], Field(min_length=1)]
    ask_for: Annotated[str, Field(pattern=r"^openid( |$)")] = "openid profile offline_access"
    # One that its users can't change by themselves: it is who they are here.
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    groups: Annotated[dict[str, Group], Field(min_length=1)]
    names: dict[str, Annotated[str, Field(pattern=NAME)]] = {}

    @field_validator("issuer")
    @classmethod
    def _over_tls(cls, issuer: str) -> str:
        address = urlsplit(issuer)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _THIS_MACHINE):
            raise PydanticCustomError("no_tls", "an issuer is an https address")
        return issuer

    @model_validator(mode="after")
    def _gives_no_more_than_it_may(self) -> Self:
        for group in self.groups.values():
            if EVERYTHING not in self.scopes and not set(group.scopes or ()) <= set(self.scopes):
                raise PydanticCustomError("too_much", "a group's scopes are among the provider's")
        if len(set(self.names.values())) != len(self.names):
            raise PydanticCustomError("one_name", "a name is one person's")
        return self

    def person(self, provider: str, told: Told) -> Person | None:
        """Say who that is here: by the first group in the table that they are in, or nobody without one."""
        name = self.names.get(told.username) or name_of(provider, told.username)
        role = next((group.role for each, group in self.groups.items() if each in told.groups), None)
        if role is None or name is None:
            return None
        scopes: set[str] = set()
        for each, group in self.groups.items():
            if each in told.groups and group.role == role:
                scopes.update(self.scopes if group.scopes is None else group.scopes)
        return Person(
            name=name,
            display_name=told.display_name,
            role=role,
            scopes=frozenset(scopes),
            language=told.language,
        )

    def known_groups(self, said: object) -> tuple[str, ...]:
        """Keep of what a provider says the groups that mean something here."""
        groups = said if isinstance(said, Sequence) and not isinstance(said, str) else (said,)
        return tuple(each for each in self.groups if each in groups)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")

    providers: dict[Annotated[str, Field(pattern=PROVIDER)], DeclaredProvider]


def read_providers(file: Path) -> dict[str, DeclaredProvider]:
    """Read the table, in its order. Raises SettingsRejected, which names what is wrong and no value."""
    try:
        table = _Table.model_validate({"providers": tomllib.loads(file.read_text())})
    except OSError as error:
        raise SettingsRejected(f"LEAP_PROVIDERS_FILE: can't be read ({type(error).__name__})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SettingsRejected("LEAP_PROVIDERS_FILE: is no TOML") from None
    except ValidationError as error:
        wrong = sorted(
            {
                ".".join(map(str, fault["loc"][1:])) + (f" ({fault['msg']})" if fault["type"] in _OURS else "")
                for fault in error.errors(include_input=False, include_url=False)
            }
        )
        raise SettingsRejected(f"LEAP_PROVIDERS_FILE: correct {', '.join(wrong[:5])}") from None
    return table.providers


def name_of(provider: str, username: str) -> str | None:
    """Give somebody's name here: apart from every other provider's, and from those who have a key. None: no name."""
    lowered = username.lower()
    if _USERNAME.fullmatch(lowered) is None or "_at_" in lowered:
        return None
    name = f"{provider}.{lowered.replace('@', '_at_')}"
    return name if re.fullmatch(NAME, name) is not None else None


_OURS = {"no_tls", "too_much", "one_name"}
