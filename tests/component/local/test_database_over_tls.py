"""A database elsewhere is opened by TLS, and only where it is the one that it says it is.

The wheel's PostgreSQL is built without TLS: before it stands what answers a client's wish for it, and ends it there.
"""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.containers.composed import make_certificate
from services.runtime.database_url import guarded

_WISH_FOR_TLS = struct.pack("!II", 8, 80877103)


@asynccontextmanager
async def serving_tls(database: str, certificate: Path) -> AsyncIterator[tuple[str, list[bool]]]:
    """The database behind this certificate: its address by its name, and for each connection whether it was by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "proxy.pem", certificate / "proxy.key")
    behind, by_tls = urlsplit(database), []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError):
            first = await reader.readexactly(8)
            by_tls.append(first == _WISH_FOR_TLS)
            if by_tls[-1]:
                writer.write(b"S")
                await writer.start_tls(context)
            to_reader, to_writer = await asyncio.open_connection(behind.hostname, behind.port)
            to_writer.write(b"" if by_tls[-1] else first)
            await asyncio.gather(_pour(reader, to_writer), _pour(to_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        login = behind.netloc.rpartition("@")[0]
        yield behind._replace(netloc=f"{login}@localhost:{port}").geturl(), by_tls
    finally:
        server.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    finally:
        writer.close()


async def test_the_line_is_encrypted_and_the_other_end_is_who_it_says(fresh_database: str, tmp_path: Path) -> None:
    theirs, others = make_certificate(tmp_path / "theirs"), make_certificate(tmp_path / "others")
    async with serving_tls(fresh_database, theirs) as (address, by_tls):
        connection = await asyncpg.connect(guarded(address, ca_file=theirs / "proxy.pem"))
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        assert by_tls == [True]

        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(guarded(address, ca_file=others / "proxy.pem"))


async def test_a_certificate_of_another_name_is_nobody_we_asked_for(fresh_database: str, tmp_path: Path) -> None:
    another = make_certificate(tmp_path / "another", name="db.example.org")
    async with serving_tls(fresh_database, another) as (address, by_tls):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(guarded(address, ca_file=another / "proxy.pem"))
        assert by_tls == [True]
        # This machine's own, which nobody has to check.
        in_the_clear = await asyncpg.connect(guarded(address), ssl=False)
        await in_the_clear.close()
        assert by_tls == [True, False]
