"""Settings come from the environment, `LEAP_*`, and from nowhere else; a name nobody reads is refused, not ignored."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "LEAP_"


class SettingsRejected(Exception):
    """The environment can't be used; the message names the variables and never their values."""


class Settings(BaseModel):
    """What a service is told by where it runs. A service with more to be told extends this class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str = Field(min_length=1)
    database_url: str = Field(min_length=1, repr=False)  # it carries a password
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka_metadata_max_age_ms: int = Field(default=30_000, ge=100)  # how soon a new topic of a pattern is noticed
    kafka_session_timeout_ms: int = Field(default=30_000, ge=6_000)  # how soon a dead member's partitions move on
    people_file: Path | None = None  # who may sign in; a service with pages or APIs for people needs it
    clock_file: Path | None = None  # simulated states only: the seconds by which the clock is moved
    time_zone: str = "America/New_York"  # whose dates and times pages show
    otlp_endpoint: str | None = None  # where traces are sent (OTLP over HTTP, .../v1/traces); unset, none are made
    crash_at: str = ""  # fault tests only: the process ends itself at this named point

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read every LEAP_* variable. Raises SettingsRejected for a missing, unknown or unusable one."""
        given = {
            name.removeprefix(PREFIX).lower(): text for name, text in environment.items() if name.startswith(PREFIX)
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = sorted(
                f"{PREFIX}{str(problem['loc'][0]).upper()}: {_WORDS.get(problem['type'], problem['type'])}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise SettingsRejected("; ".join(problems)) from None


_WORDS = {"missing": "must be set", "extra_forbidden": "nobody reads this variable; remove it or correct its name"}
