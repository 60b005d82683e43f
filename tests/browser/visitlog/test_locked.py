"""What lies on a phone can be read by nobody but the person who wrote it, and nothing unsent goes unasked."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Dialog, Page, expect

from tests.browser.conftest import NewPage, Serve
from tests.browser.visitlog.test_offline import FORM, kept_as_written, kept_on_the_phone, logs_in, on_the_road
from tests.browser.visitlog.visits import fill_in, sent, visit_id, with_visits

CANARY = "CANARY eviction"
# Everything that the browser holds for this site, texts and bytes alike, as one text.
_ALL_OF_IT = """async () => {
    const said = [];
    const read = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const bytes = (value) => new TextDecoder("latin1").decode(value);
    const plain = (name, value) => value instanceof CryptoKey ? `key ${value.extractable}`
        : value instanceof ArrayBuffer || ArrayBuffer.isView(value) ? bytes(value) : value;
    for (const { name, version } of await indexedDB.databases()) {
        const database = await read(indexedDB.open(name, version));
        for (const store of database.objectStoreNames)
            said.push(JSON.stringify(await read(database.transaction(store).objectStore(store).getAll()), plain));
        database.close();
    }
    for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const request of await cache.keys()) {
            const page = await cache.match(request);
            said.push(JSON.stringify([...page.headers]), bytes(await page.arrayBuffer()));
        }
    }
    return said.concat(JSON.stringify(localStorage), JSON.stringify(sessionStorage)).join("\\n");
}"""
_DRAFTS_SAID_OLD = """async (days) => {
    const read = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const database = await read(indexedDB.open("leap-visit-log"));
    const begun = database.transaction("begun", "readwrite").objectStore("begun");
    for (const kept of await read(begun.getAll())) {
        kept.at = Date.now() - days * 24 * 3600 * 1000;
        await read(begun.put(kept));
    }
    database.close();
}"""
# The module that the page itself uses, asked as the page asks when it is opened.
_ASKS_FOR_THE_KEY_AGAIN = """async (person) => {
    const { status } = await fetch("/phone-key", { headers: { Accept: "application/json" } });
    const log = document.querySelector('script[src*="log.js"]').src;
    const { bringKey } = await import(new URL("kept.js", log));
    const { keyHere } = await import(new URL("sealing.js", log));
    await bringKey(person);
    while (await keyHere()) await new Promise(requestAnimationFrame);
    return { status, key: Boolean(await keyHere()) };
}"""
_A_DRAFT_OF_BEFORE = """async ([visit, words]) => {
    const request = indexedDB.open("leap-visit-log", 1);
    request.onupgradeneeded = () => {
        request.result.createObjectStore("drafts", { keyPath: "visit" });
        request.result.createObjectStore("outbox", { keyPath: "client" });
    };
    const database = await new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const transaction = database.transaction("drafts", "readwrite");
    const client = "01980000-0000-7000-8000-000000000001";
    transaction.objectStore("drafts").put({ visit, client, person: "marisol", fields: [["voice.hopes", words]] });
    await new Promise((resolve) => { transaction.oncomplete = resolve; });
    database.close();
}"""


async def begin_a_log(page: Page, words: str) -> None:
    await page.get_by_label("It took place").check()
    await page.get_by_label("Hopes").fill(words)
    await kept_as_written(page)


async def sign_out(page: Page) -> None:
    await page.locator("#sign-out button").click()
    await page.wait_for_url("**/sign-in")


def answering(page: Page, *, accept: bool) -> list[str]:
    """Collect what the page asks, and answer it."""
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.accept() if accept else dialog.dismiss())

    page.on("dialog", answer)
    return asked


async def test_nothing_of_a_family_can_be_read_on_the_phone(serve: Serve, new_page: NewPage) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    page = await new_page(width=320)
    await on_the_road(site, page)
    await page.goto(f"{site.address}{FORM}")
    await begin_a_log(page, CANARY)

    held: str = await page.evaluate(_ALL_OF_IT)
    assert str(visit_id(1)) in held
    assert "key false" in held, "the key can be taken out of the browser"
    for told in (CANARY, "Family Number", "Elm Street"):
        assert told not in held, told

    # And with the session's key all of it is there, without a connection.
    await page.goto(f"{site.address}/visits/{visit_id(1)}")
    await expect(page.get_by_text("1 Elm Street, Hartford").first).to_be_visible()
    await page.goto(f"{site.address}{FORM}")
    await expect(page.get_by_label("Hopes")).to_have_value(CANARY)


async def test_the_check_finds_what_is_kept_in_the_clear(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await page.goto(f"{site.address}/offline")
    await page.evaluate(_A_DRAFT_OF_BEFORE, [str(visit_id(1)), CANARY])
    assert CANARY in await page.evaluate(_ALL_OF_IT)


async def test_a_draft_of_an_earlier_form_is_locked_and_goes_on(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await page.goto(f"{site.address}/offline")
    await page.evaluate(_A_DRAFT_OF_BEFORE, [str(visit_id(1)), CANARY])

    await site.sign_in(page, "marisol", FORM)
    await expect(page.get_by_label("Hopes")).to_have_value(CANARY)
    assert CANARY not in await page.evaluate(_ALL_OF_IT)


async def test_after_the_sessions_hours_the_phone_shows_nothing_and_the_draft_waits_for_its_writer(
    serve: Serve, new_page: NewPage
) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    page = await new_page(width=320)
    context = await on_the_road(site, page)
    await page.goto(f"{site.address}{FORM}")
    await begin_a_log(page, CANARY)
    await page.evaluate(
        """async () => {
            const read = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
            const database = await read(indexedDB.open("leap-phone-key"));
            const keys = database.transaction("keys", "readwrite").objectStore("keys");
            await read(keys.put({ ...await read(keys.get("current")), until: Date.now() - 1 }, "current"));
            database.close();
        }"""
    )
    await page.goto(f"{site.address}/visits/{visit_id(1)}")
    await expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    assert "key false" not in await page.evaluate(_ALL_OF_IT)

    await context.set_offline(False)
    await page.goto(f"{site.address}{FORM}")
    await expect(page.get_by_label("Hopes")).to_have_value(CANARY)


async def test_two_people_with_one_phone_each_keep_their_own_also_over_sign_out(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await begin_a_log(page, f"Marisol's {CANARY}")
    await page.context.clear_cookies()  # her session ended; she never signed out

    await site.sign_in(page, "omar", FORM)
    await expect(page.get_by_label("Hopes")).to_have_value("")
    await begin_a_log(page, "Omar's words")
    asked = answering(page, accept=True)
    await sign_out(page)
    assert asked == ["One log is not sent yet. Sign out and throw it away?"]
    left: str = await page.evaluate(_ALL_OF_IT)
    assert ('"omar"' in left, '"marisol"' in left, CANARY in left) == (False, True, False)
    assert "key false" not in left

    await site.sign_in(page, "marisol", FORM)
    await expect(page.get_by_label("Hopes")).to_have_value(f"Marisol's {CANARY}")


async def test_who_says_no_stays_signed_in_and_loses_nothing(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await begin_a_log(page, CANARY)
    asked = answering(page, accept=False)
    await page.locator("#sign-out button").click()
    async with asyncio.timeout(10):
        while not asked:
            await page.evaluate("() => new Promise(requestAnimationFrame)")
    await page.reload()
    await expect(page.get_by_label("Hopes")).to_have_value(CANARY)


@pytest.mark.parametrize("accept", [True, False])
async def test_a_draft_of_weeks_ago_is_asked_about_and_not_just_deleted(serve: Serve, page: Page, accept: bool) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await begin_a_log(page, CANARY)
    await page.evaluate(_DRAFTS_SAID_OLD, 20)
    asked = answering(page, accept=accept)
    async with page.expect_event("dialog"):
        await page.reload()
    await expect(page.get_by_label("Hopes")).to_have_value("" if accept else CANARY)
    assert asked == ["You began a log 20 days ago and did not finish it. Throw it away? It is nowhere else."]
    await page.reload()
    await expect(page.get_by_label("Hopes")).to_have_value("" if accept else CANARY)
    assert len(asked) == 1


async def test_what_somebody_left_for_months_stays_locked_until_they_are_back_to_be_asked(
    serve: Serve, page: Page
) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await begin_a_log(page, CANARY)
    await page.context.clear_cookies()
    await page.evaluate(_DRAFTS_SAID_OLD, 100)
    asked = answering(page, accept=False)
    await site.sign_in(page, "omar", FORM)
    await begin_a_log(page, "Omar's words")
    held: str = await page.evaluate(_ALL_OF_IT)
    assert ('"marisol"' in held, CANARY in held, asked) == (True, False, [])

    await page.context.clear_cookies()
    await site.sign_in(page, "marisol", FORM)
    await expect(page.get_by_label("Hopes")).to_have_value(CANARY)
    assert asked == ["You began a log 100 days ago and did not finish it. Throw it away? It is nowhere else."]


async def test_a_window_left_open_keeps_its_writers_words_and_sends_nothing_under_another_name(
    serve: Serve, page: Page
) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await begin_a_log(page, "Begun by Marisol")
    await page.context.clear_cookies()
    others = await page.context.new_page()
    await site.sign_in(others, "omar")
    await expect(others.get_by_role("heading", name="My visits")).to_be_visible()

    await fill_in(page, strengths=CANARY)
    await page.get_by_role("button", name="Save the log").click()
    await page.wait_for_url(lambda url: not url.endswith("/log"))
    await expect(page.locator("#outbox")).to_be_hidden()
    held: str = await others.evaluate(_ALL_OF_IT)
    assert ('"marisol"' in held, CANARY in held) == (True, False)
    assert await logs_in(site) == 0

    # Omar has nothing of his own here: he is asked nothing as he leaves, and hers stays.
    asked = answering(others, accept=True)
    await sign_out(others)
    assert asked == []
    await site.sign_in(page, "marisol")
    await sent(page)
    rows = await site.pool.fetch("SELECT logged_by, body FROM visit_log")
    assert [(row["logged_by"], CANARY in row["body"]) for row in rows] == [("marisol", True)]


async def test_a_list_left_open_does_not_send_with_another_ones_session(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await site.sign_in(page, "marisol", FORM)
    await fill_in(page, strengths=CANARY)
    await page.context.route("**/logs/*", lambda route: route.abort())
    await page.get_by_role("button", name="Save the log").click()
    await expect(page.locator("#send-now")).to_be_visible()
    await page.context.clear_cookies()
    others = await page.context.new_page()
    await site.sign_in(others, "omar")
    await page.context.unroute("**/logs/*")

    await page.locator("#send-now").click()
    await expect(page.get_by_text("Sign in again to send what waits.")).to_be_visible()
    assert await logs_in(site) == 0

    await page.close()
    await site.sign_in(others, "marisol", "/sign-in")
    await sent(others)
    assert await site.pool.fetchval("SELECT logged_by FROM visit_log") == "marisol"


async def test_a_session_that_ended_under_an_open_form_loses_no_word(serve: Serve, new_page: NewPage) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    page = await new_page(width=320)
    context = await on_the_road(site, page)
    await page.goto(f"{site.address}{FORM}")
    await begin_a_log(page, "Begun where there was no connection")
    await context.clear_cookies()
    await context.set_offline(False)
    told: dict[str, Any] = await page.evaluate(_ASKS_FOR_THE_KEY_AGAIN, "marisol")
    assert told == {"status": 401, "key": False}

    await fill_in(page, strengths=CANARY)
    await page.get_by_role("button", name="Save the log").click()
    await page.wait_for_url("**/sign-in?next=/")
    await site.sign_in(page, "marisol")
    await sent(page)
    assert CANARY in await site.pool.fetchval("SELECT body FROM visit_log")


async def test_pages_that_an_earlier_worker_kept_in_the_clear_are_gone(serve: Serve, page: Page) -> None:
    site = await serve("visitlog")
    await with_visits(site)
    await page.goto(f"{site.address}/offline")
    before = "async ([path, words]) => { await (await caches.open('leap-pages')).put(path, new Response(words)); }"
    await page.evaluate(before, ["/", CANARY])
    await page.evaluate(before, [f"/visits/{visit_id(3)}", CANARY])
    assert CANARY in await page.evaluate(_ALL_OF_IT)
    await site.sign_in(page, "marisol")
    await kept_on_the_phone(page, FORM)
    async with asyncio.timeout(20):
        while CANARY in await page.evaluate(_ALL_OF_IT):
            await page.evaluate("() => new Promise(requestAnimationFrame)")


async def test_a_key_is_a_persons_own_and_asks_who_is_there(serve: Serve, new_page: NewPage) -> None:
    site = await serve("visitlog")

    async def key_for(page: Page) -> dict[str, Any]:
        told: str = await page.evaluate("async () => JSON.stringify(await (await fetch('/phone-key')).json())")
        found = json.loads(told)
        assert isinstance(found, dict)
        return found

    marisol, again, omar, stranger = [await new_page() for _ in range(4)]
    await site.sign_in(marisol, "marisol")
    await site.sign_in(again, "marisol")
    await site.sign_in(omar, "omar")
    assert (await key_for(marisol))["key"] == (await key_for(again))["key"] != (await key_for(omar))["key"]
    await stranger.goto(f"{site.address}/offline")
    status = "async () => (await fetch('/phone-key', { headers: { Accept: 'application/json' } })).status"
    assert await stranger.evaluate(status) == 401
