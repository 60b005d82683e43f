"""Every answer says how it may be shown and kept, whoever made it and however it went."""

import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from services.runtime.web.safe_answers import EVERY_ANSWER, NOTICE
from tests import people

NAMES = {"cache-control": "no-store", "x-content-type-options": "nosniff", "cross-origin-opener-policy": "same-origin"}


@pytest.fixture
def told(app: FastAPI) -> FastAPI:
    """The little service, which also answers in other kinds, with and without words of its own."""
    app.add_api_route("/table.csv", lambda: PlainTextResponse("a,b", media_type="text/csv"))
    app.add_api_route("/chart.svg", lambda: Response("<svg/>", media_type="image/svg+xml"))
    app.add_api_route("/kept", lambda: JSONResponse({}, headers={"Cache-Control": "private, no-cache"}))
    return app


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    "path",
    ["/v1/notes/1", "/v1/notes/13", "/v1/nowhere", "/table.csv", "/chart.svg", "/livez", "/metrics", "/sign-in",
     "/openapi.json", "/v1/notes/x"],
)  # fmt: skip
async def test_an_answer_of_any_kind_is_not_kept_nor_guessed_at(program: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, people.headers("ana")):
        answer = await program.get(path, headers=headers)
        assert {name: answer.headers.get(name) for name in NAMES} == NAMES
        assert "geolocation=()" in answer.headers["permissions-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers


@pytest.mark.usefixtures("told")
async def test_what_a_route_says_itself_stands(program: httpx.AsyncClient) -> None:
    assert (await program.get("/kept")).headers["cache-control"] == "private, no-cache"
    page = await program.get("/sign-in")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert page.headers.get_list("content-security-policy") == [page.headers["content-security-policy"]]


async def test_over_tls_browsers_are_told_to_come_by_no_other_way(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://leap.test") as client:
        assert (await client.get("/sign-in")).headers["strict-transport-security"] == "max-age=31536000"


async def test_the_description_of_the_api_is_for_those_who_may_ask_it(program: httpx.AsyncClient) -> None:
    assert (await program.get("/openapi.json")).status_code == 401
    described = await program.get("/openapi.json", headers=people.headers("ana"))
    assert described.json()["info"]["title"] == "LEAP little"


def _file(name: str, **headers: str) -> Response:
    return Response("a,b", headers={"Content-Disposition": f'attachment; filename="{name}"', **headers})


async def test_what_is_given_out_says_that_it_may_not_be_passed_on_and_a_file_says_it_in_its_name(
    app: FastAPI, program: httpx.AsyncClient
) -> None:
    app.add_api_route("/pay.csv", lambda: _file("payroll-2026-09-01.csv"))
    app.add_api_route("/public.csv", lambda: _file("public.csv", **{NOTICE: "public figures"}))

    pay = await program.get("/pay.csv")
    assert "99.33" in pay.headers[NOTICE]
    assert 'filename="payroll-2026-09-01-not-to-be-passed-on.csv"' in pay.headers["content-disposition"]
    assert pay.text == "a,b", "and nothing in it that would be a row to its reader"

    public = await program.get("/public.csv")
    assert public.headers[NOTICE] == "public figures"
    assert 'filename="public.csv"' in public.headers["content-disposition"]

    assert NOTICE in (await program.get("/v1/notes/1", headers=people.headers("ana"))).headers
    assert NOTICE not in (await program.get("/sign-in")).headers


def test_nothing_that_an_answer_says_could_be_misread_as_two_headers() -> None:
    assert all("\n" not in value and value.isascii() for value in EVERY_ANSWER.values())
