"""What every page has: languages, safety, and sentences for what goes wrong."""

import logging
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from services.runtime.web.application import routes_by_person
from services.runtime.web.languages import languages
from services.runtime.web.pages import Pages
from tests import people


async def test_the_language_is_what_was_clicked_else_one_s_own_else_the_browser_s(browser: httpx.AsyncClient) -> None:
    async def shown(accepted: str = "en") -> str:
        page = await browser.get("/sign-in", headers={"Accept-Language": accepted})
        return page.text.split('<html lang="')[1][:2]

    assert [await shown(each) for each in ("es-US,en;q=0.8", "en;q=0.5, es;q=0.9", "fr", "es;q=0, en", ";;q=x")] == [
        "es", "es", "en", "en", "en",
    ]  # fmt: skip
    await browser.post("/sign-in", data=people.sign_in("ana"))
    assert await shown("es") == "en", "Ana's own language"
    await browser.post("/language", data={"language": "es", "next": "/"})
    assert await shown("en") == "es", "what she clicked"


async def test_a_page_is_translated_counts_included(browser: httpx.AsyncClient) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    assert "1 note<" in (await browser.get("/?count=1")).text
    browser.cookies.set("language", "es")
    page = (await browser.get("/?count=2")).text
    assert all(words in page for words in ("Hola, Ana Example", "2 notas<", "Cerrar sesión", "<title>Notas"))


async def test_a_language_written_from_the_right_turns_the_page(browser: httpx.AsyncClient) -> None:
    browser.cookies.set("language", "ar")
    assert '<html lang="ar" dir="rtl">' in (await browser.get("/sign-in")).text


async def test_a_language_nobody_offers_is_refused(browser: httpx.AsyncClient) -> None:
    refused = await browser.post("/language", data={"language": "../../etc", "next": "/"})
    assert (refused.status_code, "set-cookie" in refused.headers) == (422, False)


async def test_a_page_runs_and_loads_nothing_but_our_own_files(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/sign-in")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in page.text
    assert page.text.count("<script") == page.text.count('<script src="/static/')


async def test_what_was_typed_is_text_and_never_markup(browser: httpx.AsyncClient) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    page = await browser.get("/", params={"typed": "<script>alert('x')</script>"})
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page.text


async def test_static_files_are_kept_for_a_year_under_an_address_that_changes_with_them(
    browser: httpx.AsyncClient,
) -> None:
    page = (await browser.get("/sign-in")).text
    addresses = [part.split('"')[0] for part in page.split('src="')[1:] + page.split('stylesheet" href="')[1:]]
    assert {address.partition("?")[0] for address in addresses} == {
        "/static/leap.css", "/static/leap.svg", "/static/vendor/htmx.js", "/static/vendor/hx-sse.js",
    }  # fmt: skip
    for address in addresses:
        answer = await browser.get(address)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    unversioned = await browser.get("/static/little.css")
    assert unversioned.headers["cache-control"] == "no-cache"
    again = await browser.get("/static/little.css", headers={"If-None-Match": unversioned.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["../service.py", "..%2fservice.py", "templates/base.html", "vendor/", "%00", ""])
async def test_no_path_leads_to_another_file(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(f"/static/{path}")).status_code == 404


async def test_htmx_is_its_fourth_version_with_events_from_the_server(browser: httpx.AsyncClient) -> None:
    assert 'version:"4.' in (await browser.get("/static/vendor/htmx.js")).text.replace('version="4.', 'version:"4.')
    assert "hx-sse:connect" in (await browser.get("/static/vendor/hx-sse.js")).text


async def test_a_problem_is_a_page_to_a_browser_and_a_document_to_a_program(
    browser: httpx.AsyncClient, program: httpx.AsyncClient
) -> None:
    page = await browser.get("/nowhere", headers={"Accept-Language": "es"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Aquí no hay nada</h1>" in page.text

    document = await program.get("/v1/nowhere", headers={"Accept": "text/html"})
    assert document.headers["content-type"] == "application/problem+json"
    assert document.json() == {"type": "about:blank", "title": "There is nothing here", "status": 404}


async def test_an_invalid_value_is_named_by_its_place_and_not_repeated(program: httpx.AsyncClient) -> None:
    answer = await program.get("/v1/notes/Rosa-Example", headers=people.headers("ana"))
    assert (answer.status_code, answer.json()["fields"]) == (422, ["path.number"])
    assert "Rosa" not in answer.text


async def test_another_scope_s_note_is_not_there(program: httpx.AsyncClient) -> None:
    assert (await program.get("/v1/notes/1", headers=people.headers("bea"))).status_code == 404


async def test_a_failure_says_nothing_of_what_failed(
    program: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = await program.get("/v1/notes/13", headers=people.headers("ana"))
    assert (answer.status_code, answer.json()["title"]) == (500, "Something broke on our side")
    assert "nobody may see" not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"note=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"note=" + b"x" * 300_000, "application/x-www-form-urlencoded", 413),
        (b"&".join([b"note=x"] * 300), "application/x-www-form-urlencoded", 422),
        (b"note=%FF%FE", "application/x-www-form-urlencoded", 422),
        (b"note=a%00b", "application/x-www-form-urlencoded", 422),
        ("note=ü".encode(), "application/x-www-form-urlencoded", 422),
        (b"note", "application/x-www-form-urlencoded", 422),
        (b"", "application/x-www-form-urlencoded", 422),
        (b'{"note":"x"}', "application/json", 415),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 415),
    ],
    ids=["long", "longer", "many", "no utf-8", "nul", "no ascii", "no pair", "empty", "json", "multipart"],
)
async def test_what_is_no_form_is_refused_and_the_service_goes_on(
    browser: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    refused = await browser.post("/notes", content=content, headers={"Content-Type": kind})
    assert refused.status_code == status
    assert "<h1>" in refused.text
    assert (await browser.post("/notes", data={"note": "líneas\r\ny más"})).status_code == 303


async def test_a_body_without_an_end_is_cut_off(program: httpx.AsyncClient) -> None:
    long = b'{"a":"' + b"x" * 300_000 + b'"}'
    headers = {**people.headers("carl"), "Content-Type": "application/json"}
    assert (await program.put("/v1/notes/1", content=long, headers=headers)).status_code == 413


def test_dates_and_numbers_are_written_as_here(app: FastAPI) -> None:
    pages: Pages = app.state.pages
    moment = datetime(2026, 11, 3, 2, 30, tzinfo=UTC)  # still the evening before, in Connecticut
    written = {
        code: [
            environment.from_string(template)
            .render(moment=moment, day=date(2026, 11, 2))
            .replace("\u202f", " ")
            .replace("\xa0", " ")
            for template in ("{{ moment|local_time }}", "{{ day|local_weekday }}", "{{ 12345.6|number }}")
        ]
        for code, environment in pages._environments.items()
    }
    assert written["en"] == ["Nov 2, 2026, 9:30 PM", "Mon, Nov 2", "12,345.6"]
    assert written["es"] == ["2 nov 2026, 9:30 p.m.", "lun 2 nov", "12,345.6"]


def test_english_needs_no_catalogue(tmp_path: Path) -> None:
    (only,) = languages(tmp_path).values()
    assert (only.code, only.name, only.gettext("Hello, %(name)s", name="Ana")) == ("en", "English", "Hello, Ana")


def test_the_little_service_asks_who_is_there_wherever_it_must(app: FastAPI) -> None:
    named = routes_by_person(app)
    assert named[True] == {
        "GET /", "POST /notes", "GET /v1/notes/{number}", "PUT /v1/notes/{number}", "GET /changes",
        "GET /openapi.json",
    }  # fmt: skip
