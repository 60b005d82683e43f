"""Sign-in with an identity provider that runs: there and back, every lie refused, and asked again later."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import pytest_asyncio

from services.runtime.web import oidc, vouching
from tests import people, vouched
from tests.delivering import served
from tests.heard import heard
from tests.sessions import SessionsInMemory
from tests.unit.runtime import little
from tests.vouched import MARISOL, Running, running_provider

NO_DATABASE: Any = None
PROGRAM = {"Accept": "*/*"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    """One provider for all: what a test changes is put right before the next."""
    with running_provider() as running:
        yield running


class Journey:
    """A browser at the little service, which somebody leads through the provider's page."""

    def __init__(self, provider: Running, folder: Path) -> None:
        self.provider, self.folder = provider, folder
        self.kept = SessionsInMemory()
        self.app = served(little.service, NO_DATABASE, vouched.admission(folder, provider.address, self.kept))
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://leap.test", headers=people.SAME_ORIGIN)

    async def go(self, then: str = "/") -> str:
        """Leave for the provider, and give its address."""
        answer = await self.browser.get("/sign-in/with/valley", params={"next": then})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def come_back(self, then: str = "/", subject: str = "s-1") -> httpx.Response:
        """Go there, say who one is, and come back."""
        return await self.browser.get(self.provider.asks_who(await self.go(then), subject))

    async def note(self) -> tuple[int, str | None]:
        """Ask for something that only people see: the status, and who one is."""
        answer = await self.browser.get("/v1/notes/1", headers=PROGRAM)
        return answer.status_code, answer.json().get("for")

    def later(self, seconds: float) -> None:
        """Let time pass by the sessions' clock."""
        self.kept.pass_by(seconds)
        self.app.state.sessions.forget()


@pytest_asyncio.fixture
async def journey(provider: Running, tmp_path: Path) -> AsyncIterator[Journey]:
    """Marisol's, who is a scheduler of Hartford by her group."""
    provider.lies()
    provider.knows("s-1", MARISOL)
    made = Journey(provider, tmp_path)
    yield made
    await made.browser.aclose()


async def test_somebody_whom_the_provider_knows_is_signed_in_by_their_group(journey: Journey) -> None:
    back = await journey.come_back("/?count=2")
    assert (back.status_code, back.headers["location"]) == (303, "/?count=2")
    assert await journey.note() == (200, "valley.m.vega")
    page = await journey.browser.get("/")
    assert "Hola, Marisol Vega" in page.text, "in the language that the provider tells"


async def test_the_way_there_carries_what_proves_the_way_back(journey: Journey) -> None:
    asked = parse_qs(urlsplit(await journey.go()).query)
    again = parse_qs(urlsplit(await journey.go()).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://leap.test/sign-in/back"]
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge")), "each time new ones"


async def refused(journey: Journey, answer: httpx.Response, status: int = 403) -> None:
    """Nobody was signed in, and the page says so."""
    assert answer.status_code == status
    assert f"{journey.app.state.sessions.cookie}=" not in answer.headers.get("set-cookie", "")
    assert (await journey.note())[0] == 401


LIES: dict[str, dict[str, Any]] = {
    "a nonce of another sign-in": {"nonce": "another"},
    "expired": {"expired_seconds": 3600},
    "for another client": {"aud": "another"},
    "for another client, and asked for by us": {"aud": "another", "azp": "leap"},
    "for us and another, who asked": {"aud": ["leap", "another"], "azp": "another"},
    "of another issuer": {"iss": "https://login.elsewhere.example"},
    "of another person": {"sub": "s-2"},
    "of tomorrow": {"iat": int(time.time()) + 86_400},
    "signed with our own secret": {"alg": "HS256"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_an_id_token_that_does_not_do_signs_nobody_in(journey: Journey, lie: dict[str, Any]) -> None:
    journey.provider.lies(**lie)
    await refused(journey, await journey.come_back())
    journey.provider.lies()
    assert (await journey.come_back()).status_code == 303, "the truth does"


async def test_a_wrong_or_missing_state_signs_nobody_in(journey: Journey) -> None:
    back = urlsplit(journey.provider.asks_who(await journey.go(), "s-1"))
    code = parse_qs(back.query)["code"][0]
    for state in ({"state": "another"}, {}):
        await refused(journey, await journey.browser.get(f"/sign-in/back?{urlencode({'code': code, **state})}"))


async def test_an_answer_that_another_browser_asked_for_signs_nobody_in(journey: Journey) -> None:
    address = journey.provider.asks_who(await journey.go(), "s-1")
    journey.browser.cookies.clear()
    await refused(journey, await journey.browser.get(address))


async def test_a_code_is_good_once(journey: Journey) -> None:
    address = journey.provider.asks_who(await journey.go(), "s-1")
    carried = dict(journey.browser.cookies)
    assert (await journey.browser.get(address)).status_code == 303
    journey.browser.cookies.clear()
    await refused(journey, await journey.browser.get(address))  # the browser has forgotten on the first one
    journey.browser.cookies.update(carried)
    await refused(journey, await journey.browser.get(address))  # and the provider, where the cookie was copied


async def test_a_code_without_what_its_challenge_was_made_of_is_worth_nothing(journey: Journey) -> None:
    stolen = journey.provider.asks_who(await journey.go(), "s-1")
    code = parse_qs(urlsplit(stolen).query)["code"][0]
    own = await journey.go()  # the thief's own sign-in, with another challenge
    state = parse_qs(urlsplit(own).query)["state"][0]
    await refused(journey, await journey.browser.get(f"/sign-in/back?{urlencode({'code': code, 'state': state})}"))


async def test_what_the_provider_says_no_to_is_told_in_our_words(journey: Journey) -> None:
    state = parse_qs(urlsplit(await journey.go()).query)["state"][0]
    said = urlencode({"error": "access_denied", "error_description": "Call 555-0100 at once", "state": state})
    answer = await journey.browser.get(f"/sign-in/back?{said}")
    await refused(journey, answer)
    assert "did not go through" in answer.text
    assert "555" not in answer.text
    assert state not in answer.text


@pytest.mark.parametrize("then", ["//evil.test", "https://evil.test", "/\\evil.test", "/\tx", "javascript:alert(1)"])
async def test_nobody_is_led_out_of_the_service(journey: Journey, then: str) -> None:
    assert (await journey.come_back(then)).headers["location"] == "/"


async def test_another_provider_than_those_of_the_table_is_none(journey: Journey) -> None:
    for address in ("/sign-in/with/elsewhere", "/sign-in/with/https:%2F%2Fevil.test"):
        assert (await journey.browser.get(address)).status_code == 404
    assert (await journey.browser.get("/sign-out/with/elsewhere")).headers["location"] == "/sign-in"


async def test_who_is_in_no_group_of_ours_is_told_whom_to_ask(journey: Journey) -> None:
    journey.provider.knows("s-1", MARISOL | {"groups": ["teachers"]})
    answer = await journey.come_back()
    await refused(journey, answer)
    assert "which group you need" in answer.text


async def test_a_key_that_the_provider_signs_with_anew_is_fetched_and_not_at_a_forger_s_pace(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await journey.come_back()).status_code == 303
    journey.provider.changes_its_key()
    await journey.browser.post("/sign-out")
    await refused(journey, await journey.come_back())  # within ten seconds of the last fetch
    monkeypatch.setattr(oidc, "NEW_KEYS_SECONDS", 0.0)
    assert (await journey.come_back()).status_code == 303


async def test_who_is_deactivated_there_is_out_here_with_the_next_question_after_four_minutes(
    journey: Journey,
) -> None:
    await journey.come_back()
    journey.provider.deactivates("s-1")
    journey.later(235)
    assert (await journey.note())[0] == 200
    journey.later(6)
    assert (await journey.note())[0] == 401
    journey.provider.knows("s-1", MARISOL)
    assert (await journey.note())[0] == 401, "what ended stays ended"


async def test_whose_group_is_taken_away_is_out_and_whose_is_changed_is_something_else(journey: Journey) -> None:
    await journey.come_back()
    journey.provider.knows("s-1", MARISOL | {"groups": ["desk of danbury"]})
    journey.later(250)
    assert (await journey.note())[0] == 404, "a scheduler of Danbury has no notes of Hartford"
    journey.provider.knows("s-1", MARISOL | {"groups": []})
    journey.later(250)
    assert (await journey.note())[0] == 401


async def test_a_session_goes_on_while_the_provider_says_yes(journey: Journey) -> None:
    await journey.come_back()
    for _ in range(5):
        journey.later(600)
        assert await journey.note() == (200, "valley.m.vega")


async def test_a_group_that_the_table_names_no_more_is_out_when_the_table_is_read(journey: Journey) -> None:
    await journey.come_back()
    file = journey.folder / "providers.toml"
    file.write_text(file.read_text().replace('"desk of hartford"', '"another desk"'))
    await journey.app.state.sessions.look()
    assert (await journey.note())[0] == 401


async def test_who_is_withdrawn_here_is_out_whatever_the_provider_says(journey: Journey) -> None:
    await journey.come_back()
    file = journey.folder / "people.json"
    text = file.read_text()
    file.write_text(text[:-1] + ', "withdrawn": {"valley.m.vega": "2026-11-30T00:00:00+00:00"}}')
    await journey.app.state.sessions.look()
    assert (await journey.note())[0] == 401
    await refused(journey, await journey.come_back())
    file.write_text(text)
    await journey.app.state.sessions.look()
    assert (await journey.note())[0] == 401
    assert (await journey.come_back()).status_code == 303


async def test_signing_out_ends_ours_gives_the_tokens_back_and_offers_theirs(journey: Journey) -> None:
    await journey.come_back()
    copied = dict(journey.browser.cookies)
    left = await journey.browser.post("/sign-out")
    assert left.headers["location"] == "/sign-in?left=valley"
    page = await journey.browser.get(left.headers["location"])
    assert 'href="/sign-out/with/valley"' in page.text
    way_out = (await journey.browser.get("/sign-out/with/valley")).headers["location"]
    assert way_out.startswith(f"{journey.provider.address}/oauth2/end_session?client_id=leap&post_logout_redirect_uri=")
    journey.browser.cookies.update(copied)
    assert (await journey.note())[0] == 401


async def test_tokens_are_sealed_and_neither_they_nor_names_are_in_the_log(journey: Journey) -> None:
    with heard() as said:
        await journey.come_back()
        journey.later(250)
        await journey.note()
        await journey.browser.post("/sign-out")
    assert [line["happened"] for line in said if "happened" in line] == ["signed_in", "signed_out"]
    assert not any(word in str(said).lower() for word in ("vega", "marisol", "s-1"))
    (row,) = journey.kept._rows.values()
    assert row.session.vouched is not None
    assert b"access" not in row.session.vouched.sealed


async def test_away_is_said_and_the_session_goes_on_when_the_provider_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vouching, "AWAY_SECONDS", 0.0)
    with running_provider() as alone:
        alone.knows("s-1", MARISOL)
        journey = Journey(alone, tmp_path)
        assert (await journey.come_back()).status_code == 303
        alone.process.send_signal(signal.SIGSTOP)  # stopped, so that it neither answers nor refuses
        monkeypatch.setattr(oidc, "ANSWER_SECONDS", 0.3)
        journey.later(250)
        assert (await journey.note())[0] == 200, "until five minutes after its last word"
        journey.later(60)
        held = await journey.browser.get("/v1/notes/1", headers=PROGRAM)
        assert (held.status_code, "retry-after" in held.headers) == (503, True)
        assert "su sesión continuará" in held.json()["detail"], "in her language"
        page = await journey.browser.get("/")
        assert (page.status_code, "su sesión continuará" in page.text) == (503, True)
        other = Journey(alone, tmp_path)  # which has nothing of the provider yet
        answer = await other.browser.get("/sign-in/with/valley")
        assert (answer.status_code, "does not answer" in answer.text) == (503, True)
        alone.process.send_signal(signal.SIGCONT)
        monkeypatch.setattr(oidc, "ANSWER_SECONDS", 5.0)
        assert await journey.note() == (200, "valley.m.vega")
        await journey.browser.aclose()
        await other.browser.aclose()


async def test_many_requests_at_once_ask_the_provider_once(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:

    asked = 0
    really = oidc.Provider.again

    async def counted(self: oidc.Provider, tokens: oidc.Tokens, subject: str) -> tuple[Any, oidc.Tokens]:
        nonlocal asked
        asked += 1
        return await really(self, tokens, subject)

    await journey.come_back()
    monkeypatch.setattr(oidc.Provider, "again", counted)
    journey.later(400)
    assert set(await asyncio.gather(*(journey.note() for _ in range(12)))) == {(200, "valley.m.vega")}
    assert asked == 1
