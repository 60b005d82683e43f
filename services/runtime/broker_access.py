"""How a client reaches the broker and shows who it is: the one place that makes a client's arguments of it."""

import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-512", "PLAIN"]

_OF_EVERYBODY, _OF_OTHERS = 0o007, 0o077


class AccessRefused(Exception):
    """A file that signs us in is missing, unreadable or open to others. It names the file and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A broker's address and who we are there. Secrets stay in their files until a client is made.

    `mechanism` is SCRAM for everybody but whoever has to sign in before the broker knows any SCRAM user.
    """

    bootstrap_servers: str
    protocol: Protocol = "PLAINTEXT"
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    mechanism: Mechanism = "SCRAM-SHA-512"

    @property
    def signs_in(self) -> bool:
        """Tell whether the broker asks for a user and a password."""
        return self.protocol.startswith("SASL_")

    @property
    def is_encrypted(self) -> bool:
        """Tell whether nobody on the way can listen."""
        return self.protocol.endswith("SSL")

    def password(self) -> str:
        """Read the password. Raises AccessRefused."""
        if self.password_file is None:
            raise AccessRefused(f"no password file for {self.user}")
        return secret_in(self.password_file)


Broker = str | Access
"""A broker and who we are there; an address alone is a broker that asks nobody."""


def access_to(broker: Broker) -> Access:
    """Give the access; an address alone is one without a user."""
    return broker if isinstance(broker, Access) else Access(bootstrap_servers=broker)


def client_options(broker: Broker) -> dict[str, Any]:
    """Make what every client of aiokafka is given first: address, protocol, user, password, certificates.

    Raises AccessRefused where a file can't be used.
    """
    access = access_to(broker)
    options: dict[str, Any] = {"bootstrap_servers": access.bootstrap_servers, "security_protocol": access.protocol}
    if access.is_encrypted:
        options["ssl_context"] = _tls(access)
    if access.signs_in:
        options |= {
            "sasl_mechanism": access.mechanism,
            "sasl_plain_username": access.user,
            "sasl_plain_password": access.password(),
        }
    return options


def secret_in(file: Path) -> str:
    """Read a secret of one line. Raises AccessRefused for a file that others may read."""
    try:
        found = file.stat()
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessRefused(f"{file} can't be read: {getattr(error, 'strerror', 'not text')}") from None
    # A mounted secret belongs to root and is read by its group; a file of our own is nobody else's.
    closed_to = _OF_OTHERS if found.st_uid == os.geteuid() else _OF_EVERYBODY
    if stat.S_IMODE(found.st_mode) & closed_to:
        raise AccessRefused(f"{file} can be read by others: chmod 600 it, and take another password")
    if not text:
        raise AccessRefused(f"{file} is empty")
    return text


def _tls(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
        if access.certificate_file is not None:
            context.load_cert_chain(access.certificate_file, access.key_file)
    except (OSError, ssl.SSLError) as error:
        raise AccessRefused(
            f"the certificates for {access.bootstrap_servers} can't be used: {error.strerror or error}"
        ) from None
    return context
