"""A database elsewhere is opened by TLS, and only where it is the one that it says it is."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.containers.composed import make_certificate
from services.runtime.database_url import guarded

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@asynccontextmanager
async def serving_tls(database: str, certificate: Path) -> AsyncIterator[str]:
    """Serve the database by TLS with this certificate, and in the clear to who does not ask: its address by its name.

    PostgreSQL answers behind it: the wheel's is built without TLS, so what it would say first is said in front of it.
    """
    behind = urlsplit(database)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "proxy.pem", certificate / "proxy.key")

    async def pass_on(here: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while octets := await here.read(65536):
                there.write(octets)
                await there.drain()
        there.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(len(_SSL_REQUEST))
            if asked := first == _SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
            theirs, to_them = await asyncio.open_connection(behind.hostname, behind.port)
            to_them.write(b"" if asked else first)
            await asyncio.gather(pass_on(reader, to_them), pass_on(theirs, writer))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield database.replace(f"{behind.hostname}:{behind.port}", f"localhost:{port}")


async def test_the_line_is_encrypted_and_the_other_end_is_who_it_says(database: str, tmp_path: Path) -> None:
    theirs, others = make_certificate(tmp_path / "theirs"), make_certificate(tmp_path / "others")
    async with serving_tls(database, theirs) as address:
        connection = await asyncpg.connect(guarded(address, ca_file=theirs / "proxy.pem"))
        assert await connection.fetchval("SELECT 1") == 1
        assert connection._transport.get_extra_info("cipher")
        await connection.close()

        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(guarded(address, ca_file=others / "proxy.pem"))


async def test_a_certificate_of_another_name_is_nobody_we_asked_for(database: str, tmp_path: Path) -> None:
    another = make_certificate(tmp_path / "another", name="db.example.org")
    async with serving_tls(database, another) as address:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(guarded(address, ca_file=another / "proxy.pem"))
        unchecked = await asyncpg.connect(guarded(address))  # this machine's own, which nobody has to check
        assert await unchecked.fetchval("SELECT 1") == 1
        await unchecked.close()
