"""Who is asking: a session cookie for pages, a key for programs, and nobody from another site."""

import asyncio
import hmac
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import asyncpg
import structlog
from fastapi import HTTPException, Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from services.runtime.seen import security, telemetry
from services.runtime.settings import NAMES_PER_HOUR, SettingsRejected
from services.runtime.web.guesses import Guesses
from services.runtime.web.languages import N_
from services.runtime.web.people import Door, People, Person
from services.runtime.web.problems import is_htmx, wants_page
from services.runtime.web.session_table import SESSION_SECONDS, Kept, Session, Vouched

if TYPE_CHECKING:
    from services.runtime.web.vouching import Vouching

SEEN_SECONDS = 60.0
"""How often a session that is used is written down as used."""
KNOWN_SECONDS, KNOWN_WHILE_WATCHED_SECONDS = 2.0, 60.0
"""How long a session is taken for standing without asking the table; longer while what ends elsewhere is heard of."""
WATCH_SECONDS = 2.0
_HEARD_SECONDS = 10.0
MOST_KNOWN = 20_000
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
COMMAND_AGENT = "leap/"
"""How the installation's own commands begin to name themselves when they ask."""
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may come in to one service, the secret of its sessions, and the providers that vouch for others."""

    people: People
    secret: bytes
    vouching: "Vouching | None" = None
    kept: Kept | None = None
    """Where sessions are kept, if not in the service's own table."""


def session_secret(file: Path | None) -> bytes:
    """Read the secret that signs a service's sessions. Raises SettingsRejected, which says nothing of it."""
    if file is None:
        raise SettingsRejected("LEAP_SESSION_SECRET_FILE: must be set where LEAP_PEOPLE_FILE is; it signs sessions")
    try:
        secret = bytes.fromhex(file.read_text().strip())
    except OSError as error:
        raise SettingsRejected(f"LEAP_SESSION_SECRET_FILE: can't be read ({type(error).__name__})") from None
    except ValueError:
        secret = b""
    if len(secret) < 32:
        raise SettingsRejected(
            "LEAP_SESSION_SECRET_FILE: must hold 64 hexadecimal digits or more: openssl rand -hex 32"
        )
    return secret


def cookie_name(request: Request, name: str) -> str:
    """Give a cookie's name: over TLS one that browsers send to this host alone, never from another port's page."""
    return f"__Host-{name}" if is_tls(request) else name


def is_tls(request: Request) -> bool:
    """Tell whether the browser came by https, by the word of a trusted proxy where there is one."""
    return request.url.scheme == "https"


def address_of(request: Request) -> str:
    """Give the address that a request came from, by the word of a trusted proxy where there is one."""
    return request.client.host if request.client is not None else ""


@dataclass(slots=True)
class _Known:
    session: Session
    read_at: float

    def idle_seconds(self, now: float) -> float:
        return self.session.idle_seconds + now - self.read_at


class Sessions:
    """The sessions of one service. Each has its own cookie: cookies know no ports, and one browser may hold several."""

    def __init__(self, admission: Admission, service: str, kept: Kept) -> None:
        self.people = admission.people
        self.vouching = admission.vouching
        self.cookie = f"leap_{service}"
        self.guesses = Guesses()
        self.serializer = URLSafeTimedSerializer(admission.secret.hex(), salt=f"session of {service}")
        self._secret = admission.secret
        self._kept = kept
        self._known: dict[bytes, _Known] = {}
        self._watched_at = -_HEARD_SECONDS

    async def begin(self, request: Request, response: Response, person: Person, vouched: Vouched | None = None) -> None:
        """Let the response carry a new session: 12 hours at most, one without use. One that the browser had ends."""
        if (before := self._key_of(request)) is not None:
            await self._end(before)
        token = secrets.token_urlsafe(32)
        mark = f"{_OF_A_PROVIDER}{vouched.provider}" if vouched is not None else self._mark_of(person.name)
        session = Session(key=self._key(token), person=person.name, mark=mark, vouched=vouched)
        await self._kept.begin(session)
        self._know(session)
        response.set_cookie(
            cookie_name(request, self.cookie),
            str(self.serializer.dumps(token)),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=is_tls(request),
        )
        way = "provider" if vouched is not None else "key"
        security.tell("signed_in", who=person.name, role=person.role, way=way, origin=address_of(request))

    async def end(self, request: Request, response: Response) -> Session | None:
        """End the session, wherever else its cookie was copied to, and give what it was; None where there was none."""
        name = cookie_name(request, self.cookie)
        response.delete_cookie(name, httponly=True, samesite="lax", secure=is_tls(request))
        key = self._key_of(request)
        session = await self._kept.find(key) if key is not None else None
        if session is not None and await self._end(session.key):
            security.tell("signed_out", who=session.person)
        return session

    async def person_of(self, request: Request, *, used: bool = True) -> Person | None:
        """Find whose session the request carries; a forged, expired or ended one is nobody's.

        With `used` the session stays alive for another hour. Raises what `Vouching.person_of` does.
        """
        key = self._key_of(request)
        session = await self._standing(key) if key is not None else None
        if session is None:
            return None
        if session.vouched is None:
            person = self.people.named(session.person) if session.mark == self._mark_of(session.person) else None
        else:
            person = await self._vouched(session)
        if person is None:
            if await self._end(session.key):
                security.tell("session_ended", who=session.person)
            return None
        if used:
            await self._use(session.key)
        return person

    def known(self, request: Request) -> Person | None:
        """Name whose session it is without asking anybody: for a page's head and language, never for a right."""
        key = self._key_of(request)
        known = self._known.get(key) if key is not None else None
        if known is None:
            return None
        session = known.session
        if session.vouched is not None:
            return self.vouching.told(session.vouched) if self.vouching is not None else None
        return self.people.named(session.person)

    def with_key(self, request: Request, key: str) -> Person | None:
        """Find the program's person by its key. Raises 429 for who has tried too many wrong ones from there."""
        person, address = self.people.with_key(key), address_of(request)
        # Apart from what is tried at the sign-in page in somebody's name: that would be a way to stop their programs.
        who = f"program of {person.name}" if person is not None else ""
        self.refuse_guessing(address, who)
        if person is not None:
            self.guesses.right(address, who)
        else:
            self.guesses.wrong(address, "")
            security.tell("wrong_key", way="program", origin=address)
        return person

    def refuse_guessing(self, address: str, who: str) -> None:
        """Raise 429 where no more keys are looked at from this address, or from there for this person."""
        if seconds := self.guesses.wait_seconds(address, who):
            if self.guesses.is_news(address):
                security.tell("too_many_guesses", origin=address)
            raise HTTPException(
                429,
                N_("too many wrong keys came from there; wait some minutes and try again with the right one"),
                headers={"Retry-After": str(seconds)},
            )

    async def still(self, request: Request) -> bool:
        """Tell whether whoever opened a stream with this request may still hear it."""
        if (authorization := request.headers.get("authorization")) is not None:
            return self.people.with_key(authorization.partition(" ")[2].strip()) is not None
        try:
            return await self.person_of(request, used=False) is not None
        except HTTPException:
            return False
        except _AWAY:
            return True  # without the database there is nothing to hear; once it answers it is asked again

    async def watch(self) -> None:
        """Hear, for as long as the process runs, of sessions ended elsewhere, and of people who were withdrawn."""
        while True:
            try:
                await self.look()
            except _AWAY as error:
                log.warning("ended sessions not heard of for a moment", **telemetry.where(error))
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Read again what has changed, end what may not go on, and forget what others have ended."""
        changed = self.people.reread()
        if self.vouching is not None:
            self.vouching.reread()
        if changed:
            for session in await self._kept.standing():
                if self._is_gone(session) and await self._end(session.key):
                    security.tell("session_ended", who=session.person)
        for key in await self._kept.ended_since(_HEARD_SECONDS):
            self._known.pop(key, None)
        self._watched_at = time.monotonic()

    def forget(self) -> None:
        """Ask the table about every session anew."""
        self._known.clear()

    def _is_gone(self, session: Session) -> bool:
        if session.mark.startswith(_OF_A_PROVIDER):
            return self.people.is_withdrawn(session.person)
        return self.people.named(session.person) is None or session.mark != self._mark_of(session.person)

    async def _vouched(self, session: Session) -> Person | None:
        if self.vouching is None or self.people.is_withdrawn(session.person):
            return None
        vouched = await self.vouching.still(session, self._kept)
        if vouched is None:
            return None
        if vouched is not session.vouched and (known := self._known.get(session.key)) is not None:
            now = time.monotonic()
            fresh = replace(known.session, vouched=vouched, idle_seconds=known.idle_seconds(now))
            self._known[session.key] = _Known(fresh, now)
        person = self.vouching.told(vouched)
        return person if person is not None and person.name == session.person else None

    async def _standing(self, key: bytes) -> Session | None:
        now = time.monotonic()
        is_watched = now - self._watched_at < 2 * WATCH_SECONDS
        known = self._known.get(key)
        if known is None or now - known.read_at > (KNOWN_WHILE_WATCHED_SECONDS if is_watched else KNOWN_SECONDS):
            session = await self._kept.find(key)
            if session is None:
                self._known.pop(key, None)
                return None
            known = self._know(session)
        vouched = known.session.vouched
        if vouched is not None:
            return replace(
                known.session, vouched=replace(vouched, age_seconds=vouched.age_seconds + now - known.read_at)
            )
        return known.session

    def _know(self, session: Session) -> _Known:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        known = self._known[session.key] = _Known(session, time.monotonic())
        return known

    async def _use(self, key: bytes) -> None:
        known, now = self._known.get(key), time.monotonic()
        if known is not None and known.idle_seconds(now) > SEEN_SECONDS:
            known.session = replace(known.session, idle_seconds=known.read_at - now)
            await self._kept.seen(key)

    async def _end(self, key: bytes) -> bool:
        self._known.pop(key, None)
        return await self._kept.end(key)

    def _key_of(self, request: Request) -> bytes | None:
        cookie = request.cookies.get(cookie_name(request, self.cookie))
        if cookie is None:
            return None
        try:
            token = self.serializer.loads(cookie, max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        return self._key(token) if isinstance(token, str) else None

    def _key(self, token: str) -> bytes:
        return hmac.digest(self._secret, b"session " + token.encode(), "sha256")

    def _mark_of(self, name: str) -> str:
        return hmac.new(self._secret, f"mark {self.people.mark_of(name)}".encode(), "sha256").hexdigest()


_OF_A_PROVIDER = "provider "


async def signed_in(request: Request) -> Person:
    """Name who is asking: a FastAPI dependency for every route about somebody.

    Nobody: browsers are sent to the sign-in page (303), htmx too (401 with HX-Redirect), programs get 401.
    A change asked with a session from another site's page is refused with 403.
    """
    known: Person | None = getattr(request.state, "person", None)
    if known is not None:
        return known  # the door has asked already
    sessions: Sessions = request.app.state.sessions
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        person = sessions.with_key(request, key.strip()) if scheme.lower() == "bearer" else None
    else:
        person = await sessions.person_of(request)
        if person is not None:
            refuse_other_sites(request)
    if person is None:
        raise _nobody(request)
    request.state.person = person = replace(person, door=_door_of(request))
    return person


def _door_of(request: Request) -> Door:
    # The pattern, never the address: an address may name somebody. What a program calls itself is its own word.
    pattern, for_programs = getattr(request.scope.get("route"), "path", ""), request.url.path.startswith("/v1/")
    # While it runs, a route of an included router says its own part only.
    route = f"{request.method} {'/v1' if for_programs and not pattern.startswith('/v1/') else ''}{pattern}"
    by_command = "authorization" in request.headers and request.headers.get("user-agent", "").startswith(COMMAND_AGENT)
    name = "command" if by_command else "api" if for_programs else "page"
    return Door(name, route, getattr(request.app.state, "names_per_hour", NAMES_PER_HOUR))


def require_role(person: Person, *roles: str) -> None:
    """Raise 403 unless the person has one of the roles. For what lies in another scope answer 404 instead."""
    if person.role not in roles:
        security.tell("not_allowed", who=person.name, role=person.role)
        raise HTTPException(403, N_("your role does not include this; ask whoever runs this installation"))


def person_if_any(request: Request) -> Person | None:
    """Name who is asking where a page does without knowing."""
    known: Person | None = getattr(request.state, "person", None)
    sessions: Sessions | None = request.app.state.sessions
    return known if known is not None or sessions is None else sessions.known(request)


def refuse_other_sites(request: Request) -> None:
    """Raise 403 unless a change is asked for by one of our own pages.

    Every browser says on a POST where the form stood; a cookie that comes without that word is not trusted.
    """
    if request.method in _CHANGES_NOTHING:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site == "same-origin":
            return
    elif urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host"):
        return
    raise HTTPException(403, N_("this was sent by another site's page; open ours and send it from there"))


def inner_address(text: str) -> str:
    """Give the address back if it lies inside this service, else the start page: no open redirect."""
    leads_out = text[:1] != "/" or text[1:2] in ("/", "\\")
    return "/" if leads_out or any(ord(character) < 33 or character == "\x7f" for character in text) else text


def _nobody(request: Request) -> HTTPException:
    if is_htmx(request):
        shown = urlsplit(request.headers.get("hx-current-url", "/"))
        address = shown.path + (f"?{shown.query}" if shown.query else "")
        return HTTPException(401, N_("sign in first"), headers={"HX-Redirect": _sign_in_then(address)})
    if wants_page(request) and request.method in _CHANGES_NOTHING:
        address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return HTTPException(303, headers={"Location": _sign_in_then(address)})
    if wants_page(request):
        return HTTPException(303, headers={"Location": _sign_in_then("/")})
    return HTTPException(
        401, N_("send your key in the header 'Authorization: Bearer KEY'"), headers={"WWW-Authenticate": "Bearer"}
    )


def _sign_in_then(address: str) -> str:
    return f"/sign-in?next={quote(inner_address(address), safe='/')}"
