"""Pages for people: templates in their language, sign-in, static files, and problems told as sentences.

A service makes one `Pages` when it starts, puts its own routes on the `router`, and renders with it. Every route about
somebody depends on `signed_in`. Nothing on a page runs or styles itself inline: the content security policy allows our
own files only.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
from babel.dates import format_date, format_time
from babel.numbers import format_decimal
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from services.runtime.seen import security
from services.runtime.web import with_provider
from services.runtime.web.context import Context
from services.runtime.web.forms import read_form
from services.runtime.web.languages import N_, Language, chosen_language, languages
from services.runtime.web.problems import problem_json, wants_page
from services.runtime.web.sign_in import (
    address_of,
    cookie_name,
    inner_address,
    is_tls,
    person_if_any,
    refuse_other_sites,
    require_role,
    signed_in,
)
from services.runtime.web.static_files import OWN_STATIC, StaticFiles, vendored

__all__ = ["Pages", "language_of", "require_role", "signed_in"]

OWN_TEMPLATES = Path(__file__).parent / "templates"
_WEEKDAY_FORM = {"en": "EEE, MMM d"}
LANGUAGE_SECONDS = 365 * 24 * 60 * 60

SAFE_PAGE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: a form's Origin would be null, and we could not tell ours from another site's.
    "Referrer-Policy": "same-origin",
}


class Pages:
    """What a service shows. `title` names it, in English; `static` is a folder of its own files under /static/."""

    def __init__(
        self, context: Context, *, templates: Path, translations: Path, title: str, static: Path | None = None
    ) -> None:
        self.title = title
        self.sessions = context.sessions
        self.guesses = self.sessions.guesses
        self.zone = context.settings.zone
        self.languages = languages(translations)
        self.static = StaticFiles({**vendored(), **_files_of(OWN_STATIC), **_files_of(static)})
        loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(templates), jinja2.FileSystemLoader(OWN_TEMPLATES)])
        self._environments = {code: self._environment(language, loader) for code, language in self.languages.items()}
        self.router = APIRouter(include_in_schema=False)
        self._offer()

    def render(
        self, request: Request, template: str, values: Mapping[str, Any] | None = None, status: int = 200
    ) -> HTMLResponse:
        """Make a page, or a part of one, in the reader's language. Every value is escaped."""
        language = self.language(request)
        html = (
            self._environments[language.code]
            .get_template(template)
            .render(
                {
                    "request": request,
                    "person": person_if_any(request),
                    "language": language,
                    "languages": self.languages.values(),
                    "service_title": self.title,
                    "here": _here(request),
                    **(values or {}),
                }
            )
        )
        return HTMLResponse(html, status_code=status, headers=SAFE_PAGE)

    def problem(self, request: Request, status: int, title: str, detail: str = "", **more: Any) -> Response:
        """Tell what went wrong and what to do: a page to a browser, a problem document to a program.

        Title and detail come translated; `more` are further members of the document.
        """
        if wants_page(request):
            return self.render(request, "problem.html", {"status": status, "title": title, "detail": detail}, status)
        return problem_json(status, title, detail, **more)

    def language(self, request: Request) -> Language:
        """Give the reader's language; its `gettext` and `ngettext` translate for them."""
        person = person_if_any(request)
        return chosen_language(
            self.languages,
            cookie=request.cookies.get(cookie_name(request, "language"), ""),
            person=person.language if person is not None else "",
            accepted=request.headers.get("accept-language", ""),
        )

    def _ask_who(self, request: Request, shown: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        offered = self.sessions.vouching.offered() if self.sessions.vouching is not None else []
        left = request.query_params.get("left")
        values = {
            "name": "",
            "refused": False,
            "wait_minutes": 0,
            "providers": offered,
            "left": next((each for each in offered if each[0] == left), None),
            **shown,
        }
        return self.render(request, "sign_in.html", values, status)

    def _tell(self, request: Request, status: int, title: str, detail: str) -> HTMLResponse:
        language = self.language(request)
        values = {"status": status, "title": language.gettext(title), "detail": language.gettext(detail)}
        # The page's own address holds a code and a state: a change of language leads on from the start.
        return self.render(request, "problem.html", {**values, "here": "/sign-in"}, status)

    def _environment(self, language: Language, loader: jinja2.BaseLoader) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=loader,
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.install_gettext_translations(language.words, newstyle=True)  # type: ignore[attr-defined]
        environment.globals["static"] = self.static.address
        environment.filters.update(
            local_time=lambda moment: self._local_time(moment, language),
            local_clock=lambda moment: format_time(moment.astimezone(self.zone), "short", locale=language.locale),
            local_date=lambda day: self._local_date(day, language),
            local_weekday=lambda day: self._local_date(day, language, _WEEKDAY_FORM.get(language.code, "EEE d MMM")),
            number=lambda value: _number(value, language),
        )
        return environment

    def _local_time(self, moment: datetime, language: Language) -> str:
        local = moment.astimezone(self.zone)
        return f"{self._local_date(local, language)}, {format_time(local, 'short', locale=language.locale)}"

    def _local_date(self, day: date, language: Language, form: str = "medium") -> str:
        if isinstance(day, datetime):
            day = day.astimezone(self.zone).date()
        return format_date(day, form, locale=language.locale)

    def _offer(self) -> None:
        @self.router.get("/sign-in")
        async def ask_who(request: Request, next: str = "/") -> Response:
            """Ask for name and key, or lead to a provider that knows who that is."""
            return self._ask_who(request, {"next": inner_address(next)})

        @self.router.post("/sign-in")
        async def sign_in(request: Request) -> Response:
            """Begin a session and lead on to where the person wanted to go."""
            refuse_other_sites(request)
            form = await read_form(request)
            name, key, address = form.get("name").strip().lower(), form.get("key").strip(), form.get("next", "/")
            shown, origin, guesses = (
                {"name": name[:64], "next": inner_address(address)},
                address_of(request),
                self.guesses,
            )
            if seconds := guesses.wait_seconds(origin, name[:64]):
                if guesses.is_news(origin):
                    security.tell("too_many_guesses", who=name[:64], origin=origin)
                answer = self._ask_who(request, {**shown, "wait_minutes": -(-seconds // 60)}, 429)
                answer.headers["Retry-After"] = str(seconds)
                return answer
            person = self.sessions.people.signing_in(name=name, key=key)
            if person is None:
                guesses.wrong(origin, name[:64])
                security.tell("wrong_key", who=name[:64], way="page", origin=origin)
                return self._ask_who(request, {**shown, "refused": True}, 401)
            guesses.right(origin, person.name)
            led = RedirectResponse(inner_address(address), status_code=303)
            await self.sessions.begin(request, led, person)
            return led

        @self.router.post("/sign-out")
        async def sign_out(request: Request) -> Response:
            """End the session, also where its cookie was copied to."""
            refuse_other_sites(request)
            answer = RedirectResponse("/sign-in", status_code=303)
            session = await self.sessions.end(request, answer)
            if session is not None and session.vouched is not None and self.sessions.vouching is not None:
                await self.sessions.vouching.leave(session.vouched)
                answer.headers["Location"] = f"/sign-in?left={session.vouched.provider}"
            return answer

        @self.router.post("/language")
        async def switch_language(request: Request) -> Response:
            """Show the same page in another language, this browser's choice for a year."""
            refuse_other_sites(request)
            form = await read_form(request)
            if form.get("language") not in self.languages:
                raise HTTPException(422, N_("choose one of the languages on the page"))
            answer = RedirectResponse(inner_address(form.get("next", "/")), status_code=303)
            answer.set_cookie(
                cookie_name(request, "language"),
                form.get("language"),
                max_age=LANGUAGE_SECONDS,
                httponly=True,
                samesite="lax",
                secure=is_tls(request),
            )
            return answer

        if self.sessions.vouching is not None:
            with_provider.offer(self.router, self.sessions, self.sessions.vouching, self._tell)

        @self.router.get("/static/{path:path}")
        async def static(request: Request, path: str) -> Response:
            """Serve one of our files."""
            return self.static.answer(request, path)


def language_of(request: Request) -> Language:
    """Give the reader's language, in a service that has pages: its API's sentences are for people too."""
    pages: Pages = request.app.state.pages
    return pages.language(request)


def _files_of(folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def _here(request: Request) -> str:
    if request.method not in ("GET", "HEAD"):
        return "/"
    return inner_address(request.url.path + (f"?{request.url.query}" if request.url.query else ""))


def _number(value: int | float | Decimal, language: Language) -> str:
    return format_decimal(value, locale=language.locale)
