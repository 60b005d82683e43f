"""Settings come from the environment, `LEAP_*`, and from nowhere else; a name nobody reads is refused, not ignored."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from services.runtime.broker_access import Access, AccessRefused, Protocol, client_options
from services.runtime.database_url import LineRefused, guarded

PREFIX = "LEAP_"
NAMES_PER_HOUR = 500
"""About how many a person may read within an hour, unless the installation says otherwise: no day's work comes near."""


class SettingsRejected(Exception):
    """The environment can't be used; the message names the variables and never their values."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("unknown_zone", "no time zone of this name") from None
    return name


class Settings(BaseModel):
    """What a service is told by where it runs. A service with more to be told extends this class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str = Field(min_length=1)
    # How the broker is reached: what is secret stands in files, never here.
    kafka_security_protocol: Protocol = "PLAINTEXT"
    kafka_user: str | None = Field(default=None, min_length=1)
    kafka_password_file: Path | None = None  # mode 0600; SCRAM-SHA-512
    kafka_ca_file: Path | None = None  # who signed the broker's certificate; unset, whom this system trusts
    kafka_certificate_file: Path | None = None  # ours, where the broker asks for one, with its key
    kafka_key_file: Path | None = None
    database_url: str = Field(min_length=1, repr=False)  # it carries a password
    database_ca_file: Path | None = None  # who signed its certificate: reached by TLS, and its name checked
    database_in_the_clear: bool = False  # said where a database elsewhere is reached over a network of its own
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=1, le=65535)
    # Metrics, liveness and readiness, for machines alone; 1000 above the other one unless said.
    operations_port: int | None = Field(default=None, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka_metadata_max_age_ms: int = Field(default=30_000, ge=100)  # how soon a new topic of a pattern is noticed
    kafka_session_timeout_ms: int = Field(default=30_000, ge=6_000)  # how soon a dead member's partitions move on
    # A name of this process that it has again after a restart, and no other has: it takes its partitions over at once.
    kafka_member_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    migrations: Literal["at-start", "by-job"] = "at-start"  # who brings the schema: each process, or it waits for a job
    people_file: Path | None = None  # who may sign in; a service with pages or APIs for people needs it
    session_secret_file: Path | None = None  # this service's own, beside people_file: 64 hexadecimal digits or more
    providers_file: Path | None = None  # identity providers that vouch for people, and what their groups mean here
    trusted_proxies: str = ""  # addresses or networks whose X-Forwarded-* count, by commas; none: nobody's word
    names_per_hour: int = Field(default=NAMES_PER_HOUR, ge=1)  # about how many one person may read, in each service
    clock_file: Path | None = None  # simulated states only: the seconds by which the clock is moved
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "America/New_York"  # whose days are days, here and in SQL
    otlp_endpoint: str | None = None  # where traces are sent (OTLP over HTTP, .../v1/traces); unset, none are made
    crash_at: str = ""  # fault tests only: the process ends itself at this named point

    @model_validator(mode="after")
    def _can_sign_in(self) -> Self:
        if self.kafka.signs_in and (self.kafka_user is None or self.kafka_password_file is None):
            raise PydanticCustomError("no_user", "a user and a password file are needed")
        return self

    @property
    def kafka(self) -> Access:
        """How this process reaches the broker, and as whom."""
        return Access(
            bootstrap_servers=self.kafka_bootstrap_servers,
            protocol=self.kafka_security_protocol,
            user=self.kafka_user,
            password_file=self.kafka_password_file,
            ca_file=self.kafka_ca_file,
            certificate_file=self.kafka_certificate_file,
            key_file=self.kafka_key_file,
        )

    @property
    def port_of_operations(self) -> int:
        """Give the port on which machines ask."""
        return self.operations_port if self.operations_port is not None else self.http_port + 1000

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which a moment's day and time of day are told."""
        return ZoneInfo(self.time_zone)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read every LEAP_* variable. Raises SettingsRejected for a missing, unknown or unusable one."""
        given = {
            name.removeprefix(PREFIX).lower(): text for name, text in environment.items() if name.startswith(PREFIX)
        }
        try:
            settings = cls.model_validate(given)
            url = guarded(
                settings.database_url, ca_file=settings.database_ca_file, in_the_clear=settings.database_in_the_clear
            )
            client_options(settings.kafka)  # files that can't be used are found now, not at the first connection
            return settings.model_copy(update={"database_url": url})
        except (LineRefused, AccessRefused) as refused:
            raise SettingsRejected(str(refused)) from None
        except ValidationError as error:
            problems = sorted(
                f"{PREFIX}{_named(problem).upper()}: {_WORDS.get(problem['type'], problem['type'])}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise SettingsRejected("; ".join(problems)) from None


def _named(problem: Mapping[str, Any]) -> str:
    return str(problem["loc"][0]) if problem["loc"] else "kafka_security_protocol"


def zone_from(environment: Mapping[str, str] = os.environ) -> ZoneInfo:
    """Read the zone alone, for whoever is no service and must name the same days. Raises SettingsRejected."""
    try:
        return ZoneInfo(_known_zone(environment.get(f"{PREFIX}TIME_ZONE", Settings.model_fields["time_zone"].default)))
    except PydanticCustomError as error:
        raise SettingsRejected(f"{PREFIX}TIME_ZONE: {_WORDS[error.type]}") from None


_WORDS = {
    "missing": "must be set",
    "extra_forbidden": "nobody reads this variable; remove it or correct its name",
    "no_user": "needs KAFKA_USER and KAFKA_PASSWORD_FILE beside it",
    "unknown_zone": "names no time zone; take a name from the tz database",
}
