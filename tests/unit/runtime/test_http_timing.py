"""Requests are timed by what they asked for, never by whom they asked about."""

import fastapi
import httpx
from fastapi.responses import StreamingResponse

from services.runtime.seen import telemetry
from services.runtime.web.timing import Timed

app = fastapi.FastAPI()
app.add_middleware(Timed)


@app.get("/people/{name}")
async def person(name: str) -> str:
    return name


@app.get("/changes-as-a-stream")
async def changes() -> StreamingResponse:
    return StreamingResponse(iter([b"data: x\n\n"]), media_type="text/event-stream")


def counted() -> dict[tuple[str, str, str], float]:
    (metric,) = telemetry.HTTP_SECONDS.collect()
    return {
        (each.labels["route"], each.labels["method"], each.labels["status"]): each.value
        for each in metric.samples
        if each.name.endswith("_count")
    }


async def ask(path: str, method: str = "GET") -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        await client.request(method, path)


async def test_a_request_is_counted_under_its_route() -> None:
    before = counted().get(("/people/{name}", "GET", "200"), 0)
    await ask("/people/jane-doe?phone=860-555-0142")
    assert counted()["/people/{name}", "GET", "200"] == before + 1
    assert not any("jane" in label or "860" in label for labels in counted() for label in labels)


async def test_an_address_or_a_method_that_nobody_declared_makes_no_new_label() -> None:
    await ask("/people")
    await ask("/Jane-Doe")
    await ask("/people/x", "BREW")
    assert not {"/people", "/Jane-Doe"} & {route for route, _, _ in counted()}
    assert ("other", "GET", "404") in counted()
    assert "BREW" not in {method for _, method, _ in counted()}


async def test_streams_are_left_out() -> None:
    await ask("/changes-as-a-stream")
    assert "/changes-as-a-stream" not in {route for route, _, _ in counted()}
