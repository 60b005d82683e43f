"""What the live proofs need: a place where alerts arrive, a steady load, and somebody who looks at pages."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests import people
from tests.pipeline.stack import Stack


class Webhook:
    """Takes what Alertmanager posts, as a pager would."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.told += [(self.path.strip("/"), alert) for alert in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def heard(self, alert: str, status: str, **labels: str) -> bool:
        """Tell whether the alert came with that status (firing or resolved) and those labels."""
        return any(
            each["status"] == status and {"alertname": alert, **labels}.items() <= each["labels"].items()
            for _, each in self.told
        )

    def stop(self) -> None:
        """Close the door."""
        self._server.shutdown()
        self._server.server_close()


@asynccontextmanager
async def steady_load(stack: Stack, *, district: str, until: date) -> AsyncIterator[None]:
    """Marks keep coming, a bad one among them, and people keep looking, until the block ends."""
    day, day_before = until.isoformat(), (until - timedelta(days=1)).isoformat()

    async def load() -> None:
        enrolled = [_enrolled(f"steady-{number}", day_before) for number in range(20)]
        await stack.land(district, enrolled, roster=True)
        await stack.land(district, [_completed(each) for each in (day_before, day)])
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            for turn in range(1_000_000):
                marks: list[dict[str, Any] | bytes] = [
                    _absence(f"steady-{number}", day, version=turn) for number in range(20)
                ]
                # Somebody new each time who has begun to miss school: a flag, and a request at the desk.
                marks += [_absence(f"new-{turn}", each, version=0) for each in (day, day_before)]
                await stack.land(district, [_enrolled(f"new-{turn}", day_before)], roster=True)
                await stack.land(district, [*marks, {"type": "mark", "student": "steady-0"}])
                for name, process in stack.processes.items():
                    asked = [("/v1/counts", "ops"), ("/v1/no-such-thing", "ops"), ("/v1/counts", "nobody")]
                    if name == "scheduling":
                        asked.append((f"/v1/requests?district={district}", "ana"))
                    for path, person in asked:
                        with contextlib.suppress(httpx.HTTPError):
                            await client.get(f"{process.address}{path}", headers=people.headers(person))
                await asyncio.sleep(0.5)  # a load, not a wait for something

    task = asyncio.create_task(load())
    try:
        yield
        assert not task.done(), "the load ended by itself"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _enrolled(student: str, entry: str) -> dict[str, Any]:
    return {
        "type": "enrollment",
        "id": f"stint-{student}",
        "student": student,
        "household": f"household-{student}",
        "school": "STEADY",
        "grade": "5",
        "entry_date": entry,
        "version": 0,
    }


def _completed(day: str) -> dict[str, Any]:
    return {"type": "roll_completed", "school": "STEADY", "date": day, "feed": "exceptions"}


def _absence(student: str, day: str, *, version: int) -> dict[str, Any]:
    return {
        "type": "mark",
        "student": student,
        "school": "STEADY",
        "date": day,
        "category": "unexcused_absence",
        "version": version,
    }
