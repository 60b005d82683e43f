"""A database elsewhere is opened by TLS, and only where it is the one that it says it is."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from deploy.containers.composed import make_certificate
from deploy.local.machine import give_to_unprivileged
from deploy.local.postgres import start_postgres
from services.runtime.database_url import guarded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a PostgreSQL of this test's own, laid out and not running."""
    folder = tmp_path_factory.mktemp("tls")
    start_postgres(folder, durable=False).stop()
    return folder


@contextmanager
def serving_tls(folder: Path, certificate: Path) -> Iterator[str]:
    """The same PostgreSQL with this certificate: its address by its name."""
    cluster = folder / "cluster"
    for name in ("proxy.pem", "proxy.key"):
        copy = cluster / name
        copy.write_bytes((certificate / name).read_bytes())
        copy.chmod(0o600)
        give_to_unprivileged(copy)
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write("ssl = on\nssl_cert_file = 'proxy.pem'\nssl_key_file = 'proxy.key'\n")
    part = start_postgres(folder, durable=False)
    try:
        yield part.address.replace("127.0.0.1", "localhost")
    finally:
        part.stop()


async def test_the_line_is_encrypted_and_the_other_end_is_who_it_says(folder: Path, tmp_path: Path) -> None:
    theirs, others = make_certificate(tmp_path / "theirs"), make_certificate(tmp_path / "others")
    with serving_tls(folder, theirs) as address:
        connection = await asyncpg.connect(guarded(address, ca_file=theirs / "proxy.pem"))
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connection.close()

        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(guarded(address, ca_file=others / "proxy.pem"))


async def test_a_certificate_of_another_name_is_nobody_we_asked_for(folder: Path, tmp_path: Path) -> None:
    another = make_certificate(tmp_path / "another", name="db.example.org")
    with serving_tls(folder, another) as address:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(guarded(address, ca_file=another / "proxy.pem"))
        in_the_clear = await asyncpg.connect(guarded(address))  # this machine's own, which nobody has to check
        await in_the_clear.close()
