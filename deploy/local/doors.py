"""The ways into a broker: by which protocol, who has which password, and who may lay it out.

Every password lies in a file of its own, which only whoever made it can read. Of a broker that somebody else runs the
way in is given: KAFKA_BOOTSTRAP_SERVERS, and where it asks who we are KAFKA_SECURITY_PROTOCOL, KAFKA_USER,
KAFKA_PASSWORD_FILE, KAFKA_CA_FILE, KAFKA_CERTIFICATE_FILE and KAFKA_KEY_FILE, those of its administrator.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from contracts.broker_users import BROKER, user_of
from contracts.topics import landing_topics
from deploy.local.machine import write_whole
from deploy.local.parts import PartMissing
from deploy.local.topics import COPIES_ELSEWHERE
from services.runtime.broker_access import Access, Mechanism, Protocol

_PASSWORD_BYTES = 32


class Passwords:
    """A folder with a file for each user, its name the user's; made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file_of(self, user: str) -> Path:
        """Give the user's file; a password is made up for whoever has none."""
        file = self.folder / user
        if not file.exists():
            self.renew(user)
        return file

    def has(self, user: str) -> bool:
        """Tell whether the user's password is known here."""
        return (self.folder / user).exists()

    def renew(self, user: str) -> None:
        """Make up another password; the broker has to be told."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        write_whole(self.folder / user, secrets.token_urlsafe(_PASSWORD_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How everybody reaches one broker.

    Without `passwords` there are no users of ours: everybody goes in as the administrator does, or as nobody.
    `is_ours` says that nobody but this system uses the broker: users and rules that are not ours are none at all.
    """

    administrator: Access
    passwords: Path | None = None
    is_ours: bool = False
    copies: int = 1

    @property
    def has_users(self) -> bool:
        """Tell whether each service and district signs in as itself."""
        return self.passwords is not None

    def access(self, user: str) -> Access:
        """Give the user's way in."""
        if self.passwords is None:
            return self.administrator
        return Access(
            bootstrap_servers=self.administrator.bootstrap_servers,
            protocol=self.administrator.protocol,
            user=user,
            password_file=Passwords(self.passwords).file_of(user),
            ca_file=self.administrator.ca_file,
        )

    def district(self, district: str) -> Access:
        """Give the district's own way in."""
        return self.access(user_of(district))

    def describe(self) -> dict[str, Any]:
        """Give what `door_from` needs; no secret is in it."""
        access = self.administrator
        return {
            "bootstrap_servers": access.bootstrap_servers,
            "protocol": access.protocol,
            "mechanism": access.mechanism,
            "user": access.user,
            **{name: str(file) if (file := getattr(access, name)) else None for name in _FILES},
            "passwords": str(self.passwords) if self.passwords else None,
            "is_ours": self.is_ours,
            "copies": self.copies,
        }


_FILES = ("password_file", "ca_file", "certificate_file", "key_file")


def door_from(described: Mapping[str, Any]) -> Door:
    """Find the door again that `describe` described."""
    passwords = described["passwords"]
    return Door(
        administrator=Access(
            bootstrap_servers=described["bootstrap_servers"],
            protocol=described["protocol"],
            mechanism=described["mechanism"],
            user=described["user"],
            **{name: Path(described[name]) if described[name] else None for name in _FILES},
        ),
        passwords=Path(passwords) if passwords else None,
        is_ours=described["is_ours"],
        copies=described["copies"],
    )


def own_door(
    address: str, passwords: Path, *, protocol: Protocol = "SASL_PLAINTEXT", ca_file: Path | None = None
) -> Door:
    """Describe the way into a broker that was started here, for its administrator the broker itself."""
    # Not by SCRAM: it must get in while the broker knows no user yet.
    by: Mechanism = "PLAIN"
    administrator = Access(
        bootstrap_servers=address,
        protocol=protocol,
        user=BROKER,
        password_file=passwords / BROKER,
        ca_file=ca_file,
        mechanism=by,
    )
    return Door(administrator=administrator, passwords=passwords, is_ours=True)


def open_door(address: str) -> Door:
    """Describe the way into a broker that asks nobody who they are."""
    return Door(administrator=Access(bootstrap_servers=address))


def given_door(address: str, passwords: Path, environment: Mapping[str, str] = os.environ) -> Door:
    """Describe the way into a broker that somebody else runs, from the environment. Raises PartMissing."""
    protocol = environment.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    if protocol not in get_args(Protocol):
        raise PartMissing(f"KAFKA_SECURITY_PROTOCOL: one of {', '.join(get_args(Protocol))}")
    files = {
        name: Path(given).absolute() if (given := environment.get(f"KAFKA_{name.upper()}")) else None for name in _FILES
    }
    access = Access(bootstrap_servers=address, protocol=protocol, user=environment.get("KAFKA_USER"), **files)  # type: ignore[arg-type]
    if access.signs_in and (access.user is None or access.password_file is None):
        raise PartMissing(f"KAFKA_SECURITY_PROTOCOL={protocol} needs KAFKA_USER and KAFKA_PASSWORD_FILE beside it")
    copies = environment.get("KAFKA_REPLICATION_FACTOR", str(COPIES_ELSEWHERE))
    if not copies.isdecimal() or not int(copies):
        raise PartMissing("KAFKA_REPLICATION_FACTOR: on how many brokers each partition is kept, a number")
    return Door(administrator=access, passwords=passwords if access.signs_in else None, copies=int(copies))


def client_properties(door: Door, district: str, *, servers: str | None = None) -> str:
    """Write what a district's own program needs, as Kafka's clients read it. It holds the password: mode 0600."""
    access = door.district(district)
    attendance, roster = landing_topics(district)
    lines = [
        f"# The way of {district} to the broker: for {district} alone. It may write and describe two topics,",
        f"# {attendance} and {roster}, and nothing else.",
        "# Java takes it as it is: new KafkaProducer<>(properties); others have the same names, or their own words.",
        '# Send acks=all and enable.idempotence=true, one record per line of the README\'s "What a district sends".',
        f"bootstrap.servers={servers or access.bootstrap_servers}",
        f"security.protocol={access.protocol}",
    ]
    if access.signs_in:
        lines += [
            "sasl.mechanism=SCRAM-SHA-512",
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{access.user}" password="{access.password()}";',
        ]
    if access.ca_file is not None:
        # On another machine it is wherever they put it.
        lines += [
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={access.ca_file.name if servers else access.ca_file}",
        ]
    return "\n".join([*lines, "acks=all", "enable.idempotence=true"]) + "\n"
