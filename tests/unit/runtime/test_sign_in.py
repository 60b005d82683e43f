"""Who is let in, how, and from where."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from itsdangerous import URLSafeTimedSerializer

from services.runtime.settings import SettingsRejected
from services.runtime.web import application
from services.runtime.web.sign_in import session_secret
from tests import people
from tests.delivering import served
from tests.heard import heard
from tests.sessions import SessionsInMemory
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


async def test_signing_out_ends_the_session_and_clears_nothing_that_others_left_in_the_browser(
    browser: httpx.AsyncClient,
) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    cookie = browser.cookies["leap_little"]
    gone = await browser.post("/sign-out")
    assert gone.status_code == 303
    assert "clear-site-data" not in gone.headers, "it would delete logs that another person has not sent yet"
    assert (await browser.get("/")).headers["location"].startswith("/sign-in")

    browser.cookies.set("leap_little", cookie)
    assert (await browser.get("/")).headers["location"].startswith("/sign-in"), "and whoever kept the cookie is nobody"


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


SECRET = people.SESSION_SECRET.hex()


def forged(secret: str, salt: str, content: Any) -> str:
    return str(URLSafeTimedSerializer(secret, salt=salt).dumps(content))


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "nonsense",
        forged("another secret", "session of little", "a token"),
        forged(SECRET, "session of another", "a token"),
        forged(SECRET, "session of little", "a token that nobody was given"),
        forged(SECRET, "session of little", ["ana", "the cookie of the release before"]),
        forged(SECRET, "session of little", {"name": "ana"}),
    ],
    ids=["empty", "nonsense", "other secret", "other service", "no token", "old cookie", "no list"],
)
async def test_a_forged_foreign_or_outlived_cookie_is_nobody_s(program: httpx.AsyncClient, cookie: str) -> None:
    program.cookies.set("leap_little", cookie)
    assert (await program.get("/v1/notes/1")).status_code == 401


async def test_a_session_ends_after_an_hour_without_use_and_after_twelve_in_any_case(
    browser: httpx.AsyncClient, app: FastAPI, kept: SessionsInMemory
) -> None:
    async def later(minutes: float) -> int:
        kept.pass_by(60 * minutes)
        app.state.sessions.forget()
        return (await browser.get("/")).status_code

    await browser.post("/sign-in", data=people.sign_in("ana"))
    assert await later(59) == 200
    assert await later(59) == 200, "it was used: another hour"
    assert await later(61) == 303
    await browser.post("/sign-in", data=people.sign_in("ana"))
    assert [await later(50) for _ in range(15)] == [200] * 14 + [303], "11 h 40 min, and 12 h 30 min"


async def test_a_copied_cookie_ends_with_its_session(browser: httpx.AsyncClient) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    copied = dict(browser.cookies)
    await browser.post("/sign-out")
    browser.cookies.update(copied)
    assert (await browser.get("/v1/notes/1", headers={"Accept": "*/*"})).status_code == 401
    browser.cookies.clear()
    assert (await browser.post("/sign-in", data=people.sign_in("ana"))).status_code == 303
    assert (await browser.get("/")).status_code == 200, "another session is another one"


async def test_signing_in_again_ends_the_session_before(browser: httpx.AsyncClient) -> None:
    await browser.post("/sign-in", data=people.sign_in("ana"))
    copied = dict(browser.cookies)
    await browser.post("/sign-in", data=people.sign_in("ben"))
    browser.cookies.clear()
    browser.cookies.update(copied)
    assert (await browser.get("/")).status_code == 303


async def test_a_new_key_or_none_ends_every_session_and_a_broken_file_none(
    browser: httpx.AsyncClient, app: FastAPI, tmp_path: Path
) -> None:
    async def after(**changed: Any) -> int:
        people.people_file(tmp_path, **changed)
        await app.state.sessions.look()
        return (await browser.get("/")).status_code

    await browser.post("/sign-in", data=people.sign_in("ana"))
    assert await after(newcomer=people.declared("newcomer", "visitor", ("danbury",))) == 200
    (tmp_path / "people.json").write_text("{")
    await app.state.sessions.look()
    assert (await browser.get("/")).status_code == 200
    assert await after(ana=people.PEOPLE["ana"] | {"key_sha256": "1" * 64}) == 303
    assert await after() == 303, "the former key again: what was ended stays ended"


async def test_cookies_over_tls_belong_to_this_host_alone(browser: httpx.AsyncClient) -> None:
    signed_in = await browser.post("https://leap.test/sign-in", data=people.sign_in("ana"))
    cookie = signed_in.headers["set-cookie"]
    assert cookie.startswith("__Host-leap_little=")
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert (await browser.get("https://leap.test/")).status_code == 200
    plain = cookie.split(";")[0].removeprefix("__Host-")
    browser.cookies.clear()
    answer = await browser.get("https://leap.test/", headers={"Cookie": plain})
    assert answer.status_code == 303, "another port's page can set a cookie without the prefix"


async def test_wrong_keys_are_limited_per_address_and_person_and_told_when_to_come_again(app: FastAPI) -> None:
    async def tries(name: str, key: str, address: str = "192.0.2.1") -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://leap.test", headers=people.SAME_ORIGIN
        ) as somewhere:
            return await somewhere.post("/sign-in", data={"name": name, "key": key, "next": "/"})

    assert [(await tries("ana", "wrong")).status_code for _ in range(6)] == [401] * 5 + [429]
    held = await tries("ana", people.key_of("ana"))
    assert (held.status_code, 0 < int(held.headers["retry-after"]) <= 300) == (429, True)
    assert "Too many wrong keys were tried from here." in held.text
    assert (await tries("ben", people.key_of("ben"))).status_code == 303, "others at the same address"
    assert (await tries("ana", people.key_of("ana"), "192.0.2.2")).status_code == 303, "and ana from another one"


async def test_a_program_that_tries_keys_is_held_back_and_others_from_there_go_on(program: httpx.AsyncClient) -> None:
    async def ask(headers: dict[str, str]) -> int:
        return (await program.get("/v1/notes/1", headers=headers)).status_code

    assert await ask(people.headers("ben")) == 200
    wrong = [await ask({"Authorization": f"Bearer leap_{number}"}) for number in range(31)]
    assert wrong == [401] * 30 + [429]
    assert await ask(people.headers("ben")) == 200, "its key was right from there"
    assert await ask(people.headers("ana")) == 429, "a right one would be found by trying"


async def test_what_happens_at_the_door_is_told_without_names_or_keys(browser: httpx.AsyncClient) -> None:
    with heard() as said:
        await browser.post("/sign-in", data=people.sign_in("ana") | {"key": "hunter2"})
        await browser.post("/sign-in", data=people.sign_in("ana"))
        await browser.put("/v1/notes/1", json={})
        await browser.post("/sign-out")
        await browser.get("/v1/notes/1", headers={"Authorization": "Bearer hunter2"})
    happened = [line["happened"] for line in said]
    assert happened == ["wrong_key", "signed_in", "not_allowed", "signed_out", "wrong_key"]
    assert len({line["who"] for line in said[:4]}) == 1, "the same person is the same hash"
    assert not any(word in str(said) for word in ("ana", "Ana", "hunter2", people.key_of("ana"), "127.0.0.1"))


def test_a_service_that_must_know_who_asks_does_not_start_without_people() -> None:
    with pytest.raises(SettingsRejected, match="LEAP_PEOPLE_FILE: must be set"):
        served(little.service, NO_DATABASE)


@pytest.mark.parametrize("held", [None, "", "abc", "zz" * 32, "ab" * 31])
def test_a_service_without_a_secret_of_its_own_does_not_start(tmp_path: Path, held: str | None) -> None:
    file = tmp_path / "secret"
    if held is not None:
        file.write_text(held)
    with pytest.raises(SettingsRejected, match="LEAP_SESSION_SECRET_FILE") as refused:
        session_secret(file)
    assert not held or held not in str(refused.value)


async def test_neither_name_nor_key_is_in_any_answer_of_a_refusal(browser: httpx.AsyncClient) -> None:
    refused = await browser.post("/sign-in", data={"name": "<script>alert(1)</script>", "key": "hunter2"})
    assert "<script>alert" not in refused.text
    assert "hunter2" not in json.dumps(dict(refused.headers)) + refused.text


@pytest.mark.parametrize(
    ("trusted", "comes_from", "is_taken"),
    [
        ("", "10.0.0.5", False),
        ("", "127.0.0.1", False),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.0/24, 127.0.0.1", "10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
    ],
)
async def test_a_proxy_s_word_counts_where_the_setting_names_it(
    app: FastAPI, trusted: str, comes_from: str, is_taken: bool
) -> None:
    config = application.server(app, "127.0.0.1", 0, trusted_proxies=trusted).config
    config.load()
    transport = httpx.ASGITransport(app=config.loaded_app, client=(comes_from, 1))
    word = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://leap.test", headers={**people.SAME_ORIGIN, **word}
    ) as client:
        cookie = (await client.post("/sign-in", data=people.sign_in("ana"))).headers["set-cookie"]
        assert cookie.startswith("__Host-") is is_taken
        for _ in range(5):
            await client.post("/sign-in", data=people.sign_in("ana") | {"key": "wrong"})
        elsewhere = {"X-Forwarded-For": "192.0.2.10"}
        other = await client.post("/sign-in", data=people.sign_in("ana") | {"key": "wrong"}, headers=elsewhere)
        assert other.status_code == (401 if is_taken else 429), "nobody gets round the limit by saying an address"
