"""Sessions that an identity provider vouches for: begun with its word, and asked about again every few minutes."""

import asyncio
import base64
import hmac
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import structlog
from cryptography.fernet import Fernet, InvalidToken
from fastapi import HTTPException
from itsdangerous import BadData, URLSafeTimedSerializer

from services.runtime.seen import security, telemetry
from services.runtime.settings import SettingsRejected
from services.runtime.web.languages import N_
from services.runtime.web.oidc import Attempt, Provider, ProviderAway, ProviderRefused, Tokens
from services.runtime.web.people import Person
from services.runtime.web.providers import DeclaredProvider, Told, read_providers
from services.runtime.web.session_table import Kept, Session, Vouched

ASK_AGAIN_SECONDS, LIMIT_SECONDS = 240.0, 300.0
"""A session is asked about after four minutes, so that it never goes on for more than five without an answer."""
CLAIM_SECONDS, WAIT_SECONDS, POLL_SECONDS = 15.0, 5.0, 0.1
AWAY_SECONDS = 5.0
"""For how long a provider that did not answer is not asked again about others."""
WAY_SECONDS = 600
"""How long somebody may take at the provider's page."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A sign-in under way: it lies in a cookie of the browser that began it."""

    provider: str
    attempt: Attempt
    next: str


class Vouching:
    """The providers of one installation, and what one service keeps of what they said."""

    def __init__(self, file: Path, secret: bytes, declared: dict[str, DeclaredProvider]) -> None:
        self._file = file
        key = hmac.digest(secret, b"tokens of providers", "sha256")
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        self._ways = URLSafeTimedSerializer(secret.hex(), salt="on the way to a provider")
        self._asking: dict[bytes, asyncio.Task[Vouched | None]] = {}
        self._away_until: dict[str, float] = {}
        self._stamp = _stamp(file)
        self._providers: dict[str, Provider] = {}
        self._take(declared)

    @classmethod
    def load(cls, file: Path, secret: bytes) -> Self:
        """Read the table of providers. Raises SettingsRejected."""
        return cls(file, secret, read_providers(file))

    def reread(self) -> None:
        """Read the table again where it has changed; one that can't be used leaves the one before, and says so once."""
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(read_providers(self._file))
        except SettingsRejected as error:
            telemetry.FILE_BROKEN.labels("providers").set(1)
            log.error("the providers file can't be used, what was known before stays", problem=str(error))
            return
        log.info("the providers file was read again", providers=len(self._providers))

    def offered(self) -> list[tuple[str, str]]:
        """Give code and title of each provider, as the sign-in page shows them."""
        return [(code, provider.declared.title) for code, provider in self._providers.items()]

    async def go(self, code: str, redirect_uri: str, next: str) -> tuple[str, str]:
        """Give the provider's address to go to, and what the browser carries meanwhile.

        Raises KeyError for a provider that there is not, and ProviderAway.
        """
        attempt = Attempt(
            state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48)
        )
        address = await self._providers[code].address(attempt, redirect_uri)
        return address, str(self._ways.dumps(asdict(Way(provider=code, attempt=attempt, next=next))))

    def way(self, carried: str | None, state: str) -> Way:
        """Give the sign-in that this answer belongs to. Raises ProviderRefused where this browser began none such."""
        try:
            said: dict[str, Any] = self._ways.loads(carried or "", max_age=WAY_SECONDS)
            way = Way(provider=said["provider"], attempt=Attempt(**said["attempt"]), next=said["next"])
        except (BadData, KeyError, TypeError, ValueError):
            raise ProviderRefused("not_begun_here") from None
        if not hmac.compare_digest(way.attempt.state.encode(), state.encode("utf-8", "surrogatepass")):
            raise ProviderRefused("wrong_state")
        return way

    async def come_back(self, way: Way, code: str, redirect_uri: str) -> Vouched:
        """Take the code to the provider and give what it says. Raises ProviderRefused and ProviderAway."""
        provider = self._providers.get(way.provider)
        if provider is None:
            raise ProviderRefused("no_such_provider")
        told, tokens = await provider.exchange(code, way.attempt, redirect_uri)
        return self._sealed(way.provider, told, tokens)

    def told(self, vouched: Vouched) -> Person | None:
        """Say who that is here by what the provider said and what the table makes of it now; nobody without a role."""
        provider = self._providers.get(vouched.provider)
        return provider.declared.person(vouched.provider, _told(vouched)) if provider is not None else None

    async def still(self, session: Session, kept: Kept) -> Vouched | None:
        """Give what the provider says by now, None if it said no. It is asked again when its word is four minutes old.

        While it does not answer its last word holds until it is five minutes old. Raises 503 from then on: the session
        goes on when the provider answers.
        """
        vouched = session.vouched
        if vouched is None or vouched.age_seconds < ASK_AGAIN_SECONDS:
            return vouched
        asking = self._asking.get(session.key)
        if asking is None:
            # One question per session, whoever asks: a refresh token may be good only once. It outlives a browser that
            # leaves meanwhile, or the next token would be lost.
            asking = asyncio.create_task(self._ask_again(session.key, kept), name="provider asked")
            self._asking[session.key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(session.key, None))
        try:
            return await asyncio.shield(asking)
        except ProviderAway:
            if vouched.age_seconds < LIMIT_SECONDS:
                return vouched
            raise HTTPException(
                503,
                N_("whoever vouches for you does not answer at the moment; your session goes on as soon as they do"),
                headers={"Retry-After": str(int(AWAY_SECONDS))},
            ) from None

    async def leave(self, vouched: Vouched) -> None:
        """Tell the provider that its tokens are needed no more."""
        provider, tokens = self._providers.get(vouched.provider), self._tokens(vouched)
        if provider is not None and tokens is not None:
            await provider.revoke(tokens)

    async def way_out(self, code: str) -> tuple[str, str] | None:
        """Give the address that ends the provider's own session, and our id there; None where it has none."""
        provider = self._providers.get(code)
        address = await provider.way_out() if provider is not None else None
        return (address, provider.declared.client_id) if provider is not None and address is not None else None

    async def _ask_again(self, key: bytes, kept: Kept) -> Vouched | None:
        until = time.monotonic() + WAIT_SECONDS
        while True:
            session = await kept.find(key)
            if session is None or session.vouched is None:
                return None
            vouched = session.vouched
            if vouched.age_seconds < ASK_AGAIN_SECONDS:
                return vouched  # another process has asked
            if time.monotonic() < self._away_until.get(vouched.provider, 0.0):
                raise ProviderAway
            if await kept.claim_check(key, seconds=CLAIM_SECONDS):
                break
            if time.monotonic() > until:
                raise ProviderAway
            await asyncio.sleep(POLL_SECONDS)
        provider, tokens = self._providers.get(vouched.provider), self._tokens(vouched)
        if provider is None or tokens is None:
            return None
        try:
            told, tokens = await provider.again(tokens, _told(vouched).subject)
        except ProviderAway:
            self._away_until[vouched.provider] = time.monotonic() + AWAY_SECONDS
            await kept.give_back(key)
            security.tell("provider_away", who=session.person, way=vouched.provider)
            raise
        except ProviderRefused as no:
            security.tell("provider_refused", who=session.person, way=vouched.provider, why=str(no))
            return None
        again = self._sealed(vouched.provider, told, tokens)
        await kept.checked(key, again)
        return again

    def _sealed(self, provider: str, told: Told, tokens: Tokens) -> Vouched:
        return Vouched(
            provider=provider,
            told=msgspec.json.encode(told).decode(),
            sealed=self._seal.encrypt(msgspec.json.encode(tokens)),
        )

    def _tokens(self, vouched: Vouched) -> Tokens | None:
        try:
            return msgspec.json.decode(self._seal.decrypt(vouched.sealed), type=Tokens)
        except (InvalidToken, msgspec.MsgspecError):
            return None  # sealed with the secret of before

    def _take(self, declared: dict[str, DeclaredProvider]) -> None:
        providers: dict[str, Provider] = {}
        for code, each in declared.items():
            secret = ""
            if each.client_secret_file is not None:
                try:
                    secret = (self._file.parent / each.client_secret_file).read_text().strip()
                except (OSError, UnicodeDecodeError) as error:
                    raise SettingsRejected(
                        f"LEAP_PROVIDERS_FILE: client_secret_file of {code} can't be read ({type(error).__name__})"
                    ) from None
            providers[code] = Provider(each, secret)
        self._providers = providers
        telemetry.FILE_BROKEN.labels("providers").set(0)


def _told(vouched: Vouched) -> Told:
    return msgspec.json.decode(vouched.told, type=Told)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
