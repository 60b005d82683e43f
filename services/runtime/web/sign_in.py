"""Who is asking: a session cookie for pages, a key for programs, and nobody from another site."""

from dataclasses import replace
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from services.runtime.settings import NAMES_PER_HOUR
from services.runtime.web.languages import N_
from services.runtime.web.people import Door, People, Person
from services.runtime.web.problems import is_htmx, wants_page

SESSION_SECONDS = 12 * 60 * 60
COMMAND_AGENT = "leap/"
"""How the installation's own commands begin to name themselves when they ask."""
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """The sessions of one service. Each has its own cookie: cookies know no ports, and one browser may hold several."""

    def __init__(self, people: People, service: str) -> None:
        self.people = people
        self.cookie = f"leap_{service}"
        self._serializer = URLSafeTimedSerializer(people.secret, salt=f"session of {service}")

    def begin(self, request: Request, response: Response, person: Person) -> None:
        """Let the response carry a session of 12 hours."""
        response.set_cookie(
            self.cookie,
            self._serializer.dumps([person.name, self.people.mark_of(person.name)[:16]]),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )

    def end(self, response: Response) -> None:
        """Take the session away."""
        response.delete_cookie(self.cookie, httponly=True, samesite="lax")

    def person_of(self, request: Request) -> Person | None:
        """Find whose session the request carries; a forged, expired or revoked one is nobody's."""
        cookie = request.cookies.get(self.cookie)
        if cookie is None:
            return None
        try:
            name, mark = self._serializer.loads(cookie, max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        person = self.people.named(name)
        return person if person is not None and self.people.mark_of(name)[:16] == mark else None


async def signed_in(request: Request) -> Person:
    """Name who is asking: a FastAPI dependency for every route about somebody.

    Nobody: browsers are sent to the sign-in page (303), htmx too (401 with HX-Redirect), programs get 401.
    A change asked with a session from another site's page is refused with 403.
    """
    sessions: Sessions = request.app.state.sessions
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        person = sessions.people.with_key(key.strip()) if scheme.lower() == "bearer" else None
    else:
        person = sessions.person_of(request)
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
        raise HTTPException(403, N_("your role does not include this; ask whoever runs this installation"))


def person_if_any(request: Request) -> Person | None:
    """Name who is asking where a page does without knowing."""
    known: Person | None = getattr(request.state, "person", None)
    sessions: Sessions | None = request.app.state.sessions
    return known if known is not None or sessions is None else sessions.person_of(request)


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
