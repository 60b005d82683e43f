"""Who is let in, how, and from where."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer

from services.runtime.settings import SettingsRejected
from services.runtime.web import sign_in
from tests import people
from tests.delivering import served
from tests.unit.runtime import little

NO_DATABASE: Any = None


async def test_a_browser_is_led_to_sign_in_and_back_to_where_it_wanted_to_go(browser: httpx.AsyncClient) -> None:
    sent_away = await browser.get("/?count=2")
    assert (sent_away.status_code, sent_away.headers["location"]) == (303, "/sign-in?next=/%3Fcount%3D2")
    form = await browser.get(sent_away.headers["location"])
    assert 'name="next" value="/?count=2"' in form.text

    signed_in = await browser.post("/sign-in", data={**people.sign_in("ana"), "next": "/?count=2"})
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/?count=2")
    assert "Hello, Ana Example" in (await browser.get("/?count=2")).text


async def test_the_session_cookie_is_for_this_service_and_out_of_every_script_s_reach(
    browser: httpx.AsyncClient,
) -> None:
    cookie = (await browser.post("/sign-in", data=people.sign_in("ana"))).headers["set-cookie"]
    assert cookie.startswith("leap_little=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={12 * 3600}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    over_tls = await browser.post("https://leap.test/sign-in", data=people.sign_in("ana"))
    assert "Secure" in over_tls.headers["set-cookie"]


async def test_signing_out_ends_the_session_and_what_the_browser_kept(browser: httpx.AsyncClient) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    gone = await browser.post("/sign-out")
    assert (gone.status_code, gone.headers["clear-site-data"]) == (303, '"storage"')
    assert (await browser.get("/")).headers["location"].startswith("/sign-in")


@pytest.mark.parametrize("form", [{"key": "wrong"}, {"name": "nobody"}, {"name": "", "key": ""}, {"name": "A" * 9999}])
async def test_a_wrong_name_or_key_is_told_alike_and_keeps_the_name(
    browser: httpx.AsyncClient, form: dict[str, str]
) -> None:
    refused = await browser.post("/sign-in", data=people.sign_in("ana") | form)
    assert refused.status_code == 401
    assert "Name and key don't go together." in refused.text
    assert "set-cookie" not in refused.headers
    assert people.key_of("ana") not in refused.text


async def test_a_program_signs_in_with_its_key_and_is_told_how(program: httpx.AsyncClient) -> None:
    nobody = await program.get("/v1/notes/1")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert nobody.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer" in nobody.json()["detail"]
    assert (await program.get("/v1/notes/1", headers=people.headers("ben"))).json() == {"number": 1, "for": "ben"}


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic YW5hOg==", "", "Bearer key-of-ana"])
async def test_a_wrong_key_is_nobody_even_with_a_session(browser: httpx.AsyncClient, header: str) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    answer = await browser.get("/v1/notes/1", headers={"Authorization": header, "Accept": "*/*"})
    assert answer.status_code == 401


async def test_htmx_is_told_to_show_the_sign_in_page(program: httpx.AsyncClient) -> None:
    answer = await program.get("/", headers={"HX-Request": "true", "HX-Current-URL": "http://leap.test/?count=3"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in?next=/%3Fcount%3D3")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://leap.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/language", "/notes"])
async def test_a_form_of_another_site_is_refused(
    program: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    await program.post("/sign-in", data=people.sign_in("ana"), headers=people.SAME_ORIGIN)
    refused = await program.post(path, data={"note": "from elsewhere"}, headers=headers)
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers


async def test_a_browser_that_only_says_its_origin_is_let_in(program: httpx.AsyncClient) -> None:
    own = {"Origin": "http://leap.test"}
    assert (await program.post("/sign-in", data=people.sign_in("ana"), headers=own)).status_code == 303
    assert (await program.post("/notes", data={"note": "mine"}, headers=own)).status_code == 303


async def test_a_program_with_a_key_needs_no_origin(program: httpx.AsyncClient) -> None:
    answer = await program.put("/v1/notes/1", json={}, headers=people.headers("carl"))
    assert answer.status_code == 200
    refused = await program.put("/v1/notes/1", json={}, headers=people.headers("ana"))
    assert (refused.status_code, "your role" in refused.json()["detail"]) == (403, True)


@pytest.mark.parametrize(
    "address",
    ["//evil.test", "/\\evil.test", "https://evil.test/", "javascript:alert(1)", "", "/\tx", "/a\nSet-Cookie: b"],
)
async def test_nobody_is_led_out_of_the_service(browser: httpx.AsyncClient, address: str) -> None:
    signed_in = await browser.post("/sign-in", data={**people.sign_in("ana"), "next": address})
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")


def forged(secret: str, salt: str, content: Any) -> str:
    return str(URLSafeTimedSerializer(secret, salt=salt).dumps(content))


MARK = people.PEOPLE["ana"]["key_sha256"][:16]


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "nonsense",
        forged("another secret", "session of little", ["ana", MARK]),
        forged(people.SECRET, "session of another", ["ana", MARK]),
        forged(people.SECRET, "session of little", ["ana", "the mark of an old key"]),
        forged(people.SECRET, "session of little", ["nobody", "0" * 16]),
        forged(people.SECRET, "session of little", "ana"),
        forged(people.SECRET, "session of little", {"name": "ana", "mark": MARK, "more": 1}),
    ],
)
async def test_a_forged_foreign_or_outlived_cookie_is_nobody_s(program: httpx.AsyncClient, cookie: str) -> None:
    program.cookies.set("leap_little", cookie)
    assert (await program.get("/v1/notes/1")).status_code == 401


async def test_a_session_ends_after_twelve_hours(browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    monkeypatch.setattr(sign_in, "SESSION_SECONDS", -1)
    assert (await browser.get("/")).status_code == 303


async def test_a_new_key_ends_the_sessions_made_with_the_old_one(browser: httpx.AsyncClient, tmp_path: Path) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    renewed = people.people(tmp_path, ana=people.PEOPLE["ana"] | {"key_sha256": "1" * 64})
    app = served(little.service, NO_DATABASE, renewed)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://leap.test", cookies=browser.cookies
    ) as client:
        assert (await client.get("/v1/notes/1")).status_code == 401


def test_a_service_that_must_know_who_asks_does_not_start_without_people() -> None:
    with pytest.raises(SettingsRejected, match="LEAP_PEOPLE_FILE: must be set"):
        served(little.service, NO_DATABASE)


async def test_neither_name_nor_key_is_in_any_answer_of_a_refusal(browser: httpx.AsyncClient) -> None:
    refused = await browser.post("/sign-in", data={"name": "<script>alert(1)</script>", "key": "hunter2"})
    assert "<script>alert" not in refused.text
    assert "hunter2" not in json.dumps(dict(refused.headers)) + refused.text
