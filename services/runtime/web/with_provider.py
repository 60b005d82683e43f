"""The way to an identity provider and back: what a service's sign-in page leads to where one vouches for people."""

from collections.abc import Callable
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.seen import security
from services.runtime.web.languages import N_
from services.runtime.web.oidc import ProviderAway, ProviderRefused
from services.runtime.web.sign_in import Sessions, address_of, cookie_name, inner_address, is_tls
from services.runtime.web.vouching import WAY_SECONDS, Vouching

Tell = Callable[[Request, int, str, str], Response]
"""Makes the page that says what went wrong, of status, title and detail, in the reader's language."""

_AWAY = N_("Whoever vouches for you does not answer at the moment. Try again in a minute; nothing is wrong with you.")
_NO_ROLE = N_("You are known there, but to nobody here: ask whoever runs this installation which group you need.")
_REFUSED = N_("This sign-in did not go through, and nobody was signed in. Begin again here.")
_NONE = N_("There is no such way to sign in here.")


def offer(router: APIRouter, sessions: Sessions, vouching: Vouching, tell: Tell) -> None:
    """Add the routes to those of the pages. A link leads there, never a form: forms may only be sent to ourselves."""
    way_cookie = f"{sessions.cookie}_way"

    @router.get("/sign-in/with/{provider}")
    async def go(request: Request, provider: str, next: str = "/") -> Response:
        """Lead to the provider, which asks who that is."""
        try:
            address, carried = await vouching.go(provider, _back(request), inner_address(next))
        except KeyError:
            return tell(request, 404, N_("There is nothing here"), _NONE)
        except ProviderAway:
            security.tell("provider_away", way=provider)
            return tell(request, 503, N_("Not now; try again in a moment"), _AWAY)
        answer = RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})
        answer.set_cookie(
            cookie_name(request, way_cookie),
            carried,
            max_age=WAY_SECONDS,
            httponly=True,
            samesite="lax",
            secure=is_tls(request),
        )
        return answer

    @router.get("/sign-in/back")
    async def come_back(request: Request) -> Response:
        """Begin a session with the provider's word, and lead on to where the person wanted to go."""
        carried = request.cookies.get(cookie_name(request, way_cookie))
        answer = await _come_back(request, sessions, vouching, tell, carried=carried)
        # One try: whatever came of it, this answer of the provider is good for nothing any more.
        answer.delete_cookie(cookie_name(request, way_cookie), httponly=True, samesite="lax", secure=is_tls(request))
        return answer

    @router.get("/sign-out/with/{provider}")
    async def leave(request: Request, provider: str) -> Response:
        """Lead to where the provider ends its own session; ours has ended before."""
        way_out = await vouching.way_out(provider)
        if way_out is None:
            return RedirectResponse("/sign-in", status_code=303)
        address, client_id = way_out
        said = urlencode({"client_id": client_id, "post_logout_redirect_uri": f"{request.base_url}sign-in"})
        return RedirectResponse(f"{address}{'&' if '?' in address else '?'}{said}", status_code=303)


async def _come_back(
    request: Request, sessions: Sessions, vouching: Vouching, tell: Tell, *, carried: str | None
) -> Response:
    """Check that the answer belongs to a sign-in of this browser, take its code to the provider, begin the session."""
    origin, said = address_of(request), request.query_params
    try:
        way = vouching.way(carried, said.get("state", ""))
        if "error" in said or not said.get("code"):
            raise ProviderRefused("said_no")  # theirs to explain; the words in the address are anybody's
        vouched = await vouching.come_back(way, said["code"], _back(request))
    except ProviderRefused as no:
        security.tell("provider_refused", origin=origin, why=str(no))
        return tell(request, 403, N_("This is not allowed"), _REFUSED)
    except ProviderAway:
        security.tell("provider_away", origin=origin)
        return tell(request, 503, N_("Not now; try again in a moment"), _AWAY)
    person = vouching.told(vouched)
    if person is None or sessions.people.is_withdrawn(person.name):
        security.tell("provider_refused", origin=origin, way=way.provider, why="no_role")
        await vouching.leave(vouched)
        return tell(request, 403, N_("This is not allowed"), _NO_ROLE)
    answer = RedirectResponse(inner_address(way.next), status_code=303, headers={"Cache-Control": "no-store"})
    await sessions.begin(request, answer, person, vouched)
    return answer


def _back(request: Request) -> str:
    return f"{request.base_url}sign-in/back"
