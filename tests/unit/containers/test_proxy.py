"""The proxy's committed configuration, run by nginx itself in front of a service: what it keeps from the services."""

import asyncio
import contextlib
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from deploy.containers.composed import make_certificate
from deploy.local import free_port
from deploy.local.services import HTTP_PORTS
from services.runtime.web import application
from tests.browser.site import serving

DEPLOY = Path(__file__).parents[3] / "deploy"
HALF = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
HALF_SENT = 300

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is missing (Debian: nginx): the proxy's configuration is not run"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a certificate that is only good here."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def configuration(folder: Path, certificate: Path, *, behind: int, port: int) -> Path:
    """The committed file, with this machine's addresses and folders in place of the containers'."""
    text = (DEPLOY / "proxy.conf").read_text()
    for service, usual in HTTP_PORTS.items():
        text = text.replace(f"http://{service}:8000", f"http://127.0.0.1:{behind}")
        text = text.replace(
            f"listen {usual} ssl", f"listen 127.0.0.1:{port if service == 'scheduling' else free_port()} ssl"
        )
    text = re.sub(r"(?<= )/tmp/", f"{folder}/", text).replace("/run/certificate", str(certificate))
    file = folder / "proxy.conf"
    file.write_text(text.replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}"))
    return file


@contextlib.asynccontextmanager
async def proxied(folder: Path, certificate: Path) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    """A service behind nginx: the proxy's port, and a client that trusts its certificate."""
    port = free_port()
    async with serving(echoing(), trusted_proxies="127.0.0.1") as address:
        file = configuration(folder, certificate, behind=int(address.rpartition(":")[2]), port=port)
        os.chmod(folder, 0o755)
        nginx = await asyncio.create_subprocess_exec("nginx", "-c", str(file), "-e", "stderr")
        trusting = ssl.create_default_context(cafile=str(certificate / "proxy.pem"))
        try:
            async with httpx.AsyncClient(
                base_url=f"https://localhost:{port}", verify=trusting, trust_env=False
            ) as client:
                await _answers(nginx, port)
                yield port, client
        finally:
            nginx.terminate()
            await nginx.wait()


def echoing() -> FastAPI:
    """A service that says what it heard."""

    app = application.application("echoing")
    app.state.changes = type("Changes", (), {"close": staticmethod(lambda: None)})
    app.state.heard = 0

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, str | int]:
        app.state.heard += 1
        return {"bytes": len(await request.body()), "scheme": request.url.scheme, "heard": app.state.heard}

    return app


async def test_nginx_takes_the_committed_configuration_and_carries_whole_requests(
    tmp_path: Path, certificate: Path
) -> None:
    async with proxied(tmp_path, certificate) as (_, client):
        answer = await client.post("/echo", content=b"x" * 1000, headers={"X-Forwarded-Proto": "http"})
        assert answer.json() == {"bytes": 1000, "scheme": "https", "heard": 1}
        assert answer.headers["strict-transport-security"]
        for path in ("/metrics", "/livez", "/readyz"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/echo", content=b"x" * 300_000)).status_code == 413


async def test_half_sent_requests_stay_with_the_proxy_and_others_are_answered(
    tmp_path: Path, certificate: Path
) -> None:
    async with proxied(tmp_path, certificate) as (port, client):
        blind = ssl.create_default_context()
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        halves = []
        for _ in range(HALF_SENT):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=blind)
            writer.write(HALF)
            halves.append(writer)
        answer = await client.post("/echo", content=b"whole")
        assert answer.json() == {"bytes": 5, "scheme": "https", "heard": 1}
        for writer in halves:
            writer.transport.abort()


async def test_a_request_with_two_lengths_goes_no_further(tmp_path: Path, certificate: Path) -> None:
    async with proxied(tmp_path, certificate) as (port, client):
        trusting = ssl.create_default_context(cafile=str(certificate / "proxy.pem"))
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
        writer.write(HALF.replace(b"localhost", b"localhost:%d" % port))
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(5):
            answered = await reader.read()
        writer.close()
        assert answered.startswith(b"HTTP/1.1 400 ")
        assert answered.count(b"HTTP/1.1") == 1
        assert (await client.post("/echo", content=b"whole")).json()["heard"] == 1


async def _answers(nginx: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            assert nginx.returncode is None, "it ended, and said why above"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)  # it tells nobody when it listens
