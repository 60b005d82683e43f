"""One page per reader: the state, a RESC, a district, a school. Which tables each sees first, and where they lead."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from contracts.events import DISTRICT_PATTERN
from services.reporting.access import OWN_ROLES, REGIONAL_ROLES
from services.reporting.pages import charts
from services.reporting.pages.sections import Place, Section, figure, section
from services.reporting.pages.words import Words
from services.reporting.reports.reading import Reading
from services.reporting.rules.closing import PUBLISHED_ON
from services.reporting.rules.measures import OF_MONTHS
from services.reporting.rules.tables import STATE, Table
from services.runtime.web.context import Context
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages, signed_in
from services.runtime.web.people import Person

HERE = File(__file__).parent
Who = Annotated[Person, Depends(signed_in)]
District = Annotated[str, Path(pattern=DISTRICT_PATTERN)]
School = Annotated[str, Path(pattern=r"^[^\x00-\x1f]{1,40}$")]
Name = Annotated[str, Path(pattern=r"^[a-z][a-z-]{0,39}$")]
CutOff = Annotated[date | None, Query()]

_STATE = (
    "visits", "funnel", "chronic", "chronic-by-month", "chronic-by-band", "first-visit", "effect",
    "effect-by-band", "still-chronic", "still-chronic-by-band", "visitors", "logs", "follow-ups", "endings",
    "referrals", "languages", "compensation",
)  # fmt: skip
_RESC = (
    "visits", "funnel", "first-visit", "effect", "still-chronic", "visitors", "logs", "follow-ups", "chronic",
    "endings", "compensation",
)  # fmt: skip
_DISTRICT = (
    "queue", "funnel", "conversions", "visits-by-month", "visits", "first-visit", "logs", "follow-ups", "endings",
    "chronic-by-month", "chronic-by-band", "chronic-by-school", "flagged-by-grade", "visitors", "load", "languages",
    "referrals", "compensation",
)  # fmt: skip
_SCHOOL = ("school", "flagged-by-grade", "queue", "chronic-by-month")

_STATE_FIGURES = (("visits", "visits"), ("funnel", "flagged"), ("funnel", "logged"), ("visitors", "trained"),
                  ("chronic", "chronic_rate"))  # fmt: skip
_DISTRICT_FIGURES = (("funnel", "flagged"), ("funnel", "agreed"), ("visits", "visits"), ("logs", "overdue"),
                     ("visitors", "trained"), ("chronic", "chronic_rate"))  # fmt: skip


def reader_pages(context: Context) -> Pages:
    """Offer the pages and their charts. Raises SettingsRejected where nobody said who may sign in."""
    pages = Pages(
        context,
        templates=HERE.parent / "templates",
        translations=HERE.parent / "translations",
        title=N_("Reports"),
        static=HERE.parent / "static",
    )
    reports = _Reports(Reading(context), pages)
    _offer_ways_in(reports)
    _offer_published(reports)
    _offer_own(reports)
    return pages


@dataclass(frozen=True, slots=True)
class _Reports:
    """What every page of the reports is made with."""

    reading: Reading
    pages: Pages

    def words(self, request: Request) -> Words:
        return Words(self.pages.language(request), self.reading.zone)

    def page(self, request: Request, tables: Mapping[str, Table], shown: dict[str, Any]) -> Response:
        return self.pages.render(request, "report.html", {**shown, **_moments(tables, self.words(request))})

    async def svg(self, request: Request, table: Table | None) -> Response:
        width = charts.NARROW if request.query_params.get("width") == "narrow" else charts.WIDE
        if table is None or not charts.has_chart(table):
            raise HTTPException(404)
        # In a thread: the first drawing of a picture takes a tenth of a second, the very first in a process two.
        picture = await asyncio.to_thread(charts.drawn, table, self.words(request), width=width)
        return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "private, no-cache"})


def _offer_ways_in(reports: _Reports) -> None:
    router = reports.pages.router

    @router.get("/")
    async def home(person: Who) -> Response:
        """Lead each reader to their own page."""
        if person.role in OWN_ROLES:
            districts = await reports.reading.own_districts(person)
            if len(districts) == 1:
                return RedirectResponse(f"/districts/{districts[0]}", status_code=303)
            return RedirectResponse("/districts", status_code=303)
        return RedirectResponse("/resc" if person.role in REGIONAL_ROLES else "/state", status_code=303)

    @router.get("/districts")
    async def districts(request: Request, person: Who) -> Response:
        """List the districts whose own reports the person may open."""
        words = reports.words(request)
        links = [(f"/districts/{each}", words.place(each)) for each in await reports.reading.own_districts(person)]
        return reports.pages.render(request, "districts.html", {"links": links, "nav": _nav(person, words, "")})


def _offer_published(reports: _Reports) -> None:
    router, reading = reports.pages.router, reports.reading

    @router.get("/state")
    async def state(request: Request, person: Who, cut_off: CutOff = None) -> Response:
        """Show the published report of the state."""
        return await page(request, person, cut_off, _STATE, N_("The state"))

    @router.get("/resc")
    async def resc(request: Request, person: Who, cut_off: CutOff = None) -> Response:
        """Show the RESC's districts side by side, as published."""
        return await page(request, person, cut_off, _RESC, N_("Districts side by side"))

    @router.get("/charts/published/{name}.svg")
    async def published_chart(request: Request, person: Who, name: Name, cut_off: CutOff = None) -> Response:
        """Draw a published table."""
        return await reports.svg(request, (await reading.published(person, cut_off)).get(name))

    async def page(
        request: Request, person: Person, cut_off: date | None, names: Iterable[str], heading: str
    ) -> Response:
        words, here = reports.words(request), request.url.path
        tables = await reading.published(person, cut_off)
        if not tables and cut_off is not None:
            raise HTTPException(404, N_("nothing was published for this day; choose one of the list"))
        parameters = {"cut_off": cut_off.isoformat()} if cut_off else {}
        place = Place(charts="/charts/published", downloads="/v1/published", parameters=parameters)
        shown = {
            "heading": words.say(heading),
            "lead": "",
            "nav": _nav(person, words, here),
            "figures": [figure(tables, *each, words, of=STATE) for each in _STATE_FIGURES] if tables else [],
            "sections": _sections(_for_reading(tables, here), names, words, place),
            "cut_offs": await reading.cut_offs(),
            "published_on": PUBLISHED_ON,
            "published": True,
        }
        return reports.page(request, tables, shown)


def _offer_own(reports: _Reports) -> None:
    router, reading = reports.pages.router, reports.reading

    @router.get("/districts/{district}")
    async def district(request: Request, person: Who, district: District) -> Response:
        """Show a district its own work, of this moment."""
        words = reports.words(request)
        tables = await reading.own(person, district)
        if not tables:
            raise HTTPException(404)
        base = f"/districts/{district}"
        place = Place(charts=f"/charts{base}", downloads=f"/v1{base}", parameters={}, schools=f"{base}/schools")
        shown = {
            "heading": words.place(district),
            "lead": words.say(N_("Your district's own numbers, of this moment. They are not for publication.")),
            "nav": _nav(person, words, base),
            "figures": [figure(tables, *each, words) for each in _DISTRICT_FIGURES],
            "sections": _sections(tables, _DISTRICT, words, place, without_keys=("district",)),
        }
        return reports.page(request, tables, shown)

    @router.get("/districts/{district}/schools/{school}")
    async def school(request: Request, person: Who, district: District, school: School) -> Response:
        """Show a principal one school."""
        words, base = reports.words(request), request.url.path
        tables = await reading.school(person, district, school)
        if not tables:
            raise HTTPException(404)
        place = Place(charts=f"/charts{base}", downloads=f"/v1{base}", parameters={})
        heading = words.say(N_("School %(school)s, %(district)s"), school=school, district=words.place(district))
        shown = {
            "heading": heading,
            "lead": words.say(N_("Your school's own numbers, of this moment. They are not for publication.")),
            "nav": _nav(person, words, f"/districts/{district}"),
            "figures": [],
            "sections": _sections(tables, _SCHOOL, words, place),
        }
        return reports.page(request, tables, shown)

    @router.get("/charts/districts/{district}/{name}.svg")
    async def own_chart(request: Request, person: Who, district: District, name: Name) -> Response:
        """Draw a district's own table."""
        return await reports.svg(request, (await reading.own(person, district)).get(name))

    @router.get("/charts/districts/{district}/schools/{school}/{name}.svg")
    async def school_chart(request: Request, person: Who, district: District, school: School, name: Name) -> Response:
        """Draw a school's own table."""
        return await reports.svg(request, (await reading.school(person, district, school)).get(name))


def _nav(person: Person, words: Words, here: str) -> list[dict[str, Any]]:
    links = [("/state", N_("The state"))]
    if person.role in REGIONAL_ROLES:
        links.insert(0, ("/resc", N_("Districts side by side")))
    own = [(f"/districts/{scope}", words.place(scope)) for scope in sorted(person.scopes) if scope != "*"]
    if person.role in OWN_ROLES:
        links = [*(own or [("/districts", words.say(N_("Districts")))]), *links]
    return [{"address": address, "title": words.say(title), "current": address == here} for address, title in links]


def _sections(
    tables: Mapping[str, Table],
    names: Iterable[str],
    words: Words,
    place: Place,
    *,
    without_keys: Iterable[str] = (),
) -> list[Section]:
    return [
        section(tables[name], words, place, without_keys=without_keys)
        for name in names
        if name in tables and tables[name].lines
    ]


def _for_reading(tables: Mapping[str, Table], here: str) -> dict[str, Table]:
    """On a page stand the state's own grade bands and months; those of every district are in the files."""
    shortened = ("chronic-by-band", "effect") if here == "/state" else ("chronic-by-band",)
    return {**tables, **{name: tables[name].where("district", STATE) for name in shortened if name in tables}}


def _moments(tables: Mapping[str, Table], words: Words) -> dict[str, Any]:
    # Those of students' months end before this moment, and say so where they stand.
    some = next((each for name, each in tables.items() if name not in OF_MONTHS), None)
    lacks = some.lacks if some is not None else None
    return {
        "lacks": lacks.sentence(words.say, words.place) if lacks is not None else "",
        "as_of": some.as_of if some is not None else None,
        "cut_off": some.cut_off if some is not None else None,
        "by_sixes": some is not None and some.by_sixes,
        "school_year": f"{some.school_year}-{(some.school_year + 1) % 100:02}" if some is not None else "",
        "words": words,
    }
