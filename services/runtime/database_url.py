"""Over which line a database is reached: encrypted and checked, unless it is on this machine or somebody said so. Pure.

What a URL asks for (`sslmode`, `sslrootcert`) is PostgreSQL's own and goes with it, to every program that opens it.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

CA_FILE, IN_THE_CLEAR = "LEAP_DATABASE_CA_FILE", "LEAP_DATABASE_IN_THE_CLEAR"
_CHECKED = "verify-full"


class LineRefused(ValueError):
    """Rows that name people would go over a network in the clear, or to whoever answers."""

    def __init__(self) -> None:
        super().__init__(
            "the database is on another machine: name its authority's certificate in LEAP_DATABASE_CA_FILE, or write "
            "sslmode=verify-full and sslrootcert into the URL, or say LEAP_DATABASE_IN_THE_CLEAR=true"
        )


def guarded(url: str, *, ca_file: Path | None = None, in_the_clear: bool = False) -> str:
    """Give the URL with which the database is opened: where a CA is named, by TLS, with certificate and name checked.

    Raises LineRefused for another machine's that is not, unless it may be reached in the clear.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if ca_file is not None:
        options |= {"sslmode": _CHECKED, "sslrootcert": str(ca_file)}
        return urlunsplit(parts._replace(query=urlencode(options, safe="/")))
    if not in_the_clear and options.get("sslmode") != _CHECKED:
        hosts = [each.rpartition(":")[0] or each for each in parts.netloc.rpartition("@")[2].split(",")]
        if not all(_is_this_machine(host) for host in (*hosts, *options.get("host", "").split(","))):
            raise LineRefused
    return url


def guarded_by_environment(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Do the same as the environment says, for whoever is no service. Raises LineRefused."""
    ca_file = environment.get(CA_FILE)
    return guarded(
        url,
        ca_file=Path(ca_file) if ca_file else None,
        in_the_clear=environment.get(IN_THE_CLEAR, "").lower() in ("1", "true", "yes"),
    )


def _is_this_machine(host: str) -> bool:
    name = host.strip("[]")
    if name in ("", "localhost") or name.startswith(("/", "%2F")):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
