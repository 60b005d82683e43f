"""Whatever a form or a route is sent: a clear refusal in the person's language, nothing broken, nothing echoed."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st

from contracts.services import SERVICES
from tests import people
from tests.browser.site import Site
from tests.component.web import services
from tests.component.web.forms import LONG, SCRIPT, Form, read, variations
from tests.conftest import ServiceDatabase
from tests.unit.ingest.landed import HARTFORD_TOKEN

MOST_PAGES = 40
EXAMPLES = 25
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_DAY = re.compile(r"\d{4}-\d\d(-\d\d)?")

WHO = {"scheduling": ("ana", "carl"), "visitlog": ("marisol", "carl"), "reporting": ("dana", "state")}


def shape(address: str) -> str:
    """Make one of many: the address without its ids and values."""
    parts = urlsplit(address)
    names = ",".join(sorted(pair.partition("=")[0] for pair in parts.query.split("&") if pair))
    return _DAY.sub("DAY", _UUID.sub("ID", parts.path)) + (f"?{names}" if names else "")


async def every_form(client: httpx.AsyncClient) -> list[Form]:
    """Walk from page to page and collect each kind of form once."""
    seen: set[str] = set()
    forms: dict[tuple[str, str, frozenset[str]], Form] = {}
    waiting = deque([str(client.base_url)])
    while waiting and len(seen) < MOST_PAGES:
        address = waiting.popleft()
        if shape(address) in seen or not address.startswith(str(client.base_url)):
            continue
        seen.add(shape(address))
        page = await client.get(address, follow_redirects=True)
        assert page.status_code < 500, shape(address)
        if not page.headers.get("content-type", "").startswith("text/html"):
            continue
        links, found = read(str(page.url), page.text)
        waiting += links
        # A link with values in it is a form that somebody else has filled in.
        asked = [Form(link, "get", dict(parse_qsl(urlsplit(link).query))) for link in links if "?" in link]
        for form in found + [each for each in asked if each.action.startswith(str(client.base_url))]:
            if urlsplit(form.action).path not in ("/sign-out", "/language"):
                forms.setdefault((form.method, shape(form.action), frozenset(form.fields)), form)
    return list(forms.values())


def complaint(answer: httpx.Response) -> str:
    """Say what is wrong with an answer to bad input, or nothing."""
    if answer.status_code >= 500:
        return "fails"
    if SCRIPT in answer.text or "<img src=x" in answer.text:
        return "echoes markup"
    if answer.status_code >= 400 and answer.headers["content-type"].startswith("text/html"):
        if '<html lang="es"' not in answer.text and "<html" in answer.text:
            return "is not in the person's language"
        if "<h1" not in answer.text:
            return "says nothing"
    return ""


@pytest.mark.parametrize(("name", "person"), [(name, person) for name in services.PAGES for person in WHO[name]])
async def test_a_form_filled_in_wrongly_is_refused_clearly(
    name: str, person: str, service_database: ServiceDatabase
) -> None:
    faults: set[str] = set()
    async with services.standing(name, service_database) as site, signed_in(site, person) as client:
        forms = await every_form(client)
        assert forms or name == "reporting"  # whose pages only show
        for form in forms:
            for fields in variations(form):
                if form.method == "get":
                    # No browser and no server takes an address as long as that.
                    short = {field: value[:2000] for field, value in fields.items()}
                    answer = await client.get(form.action.partition("?")[0], params=short)
                else:
                    answer = await client.post(form.action, data=fields)
                if wrong := complaint(answer):
                    values = {field: value[:30] for field, value in fields.items()}
                    faults.add(f"{form.method} {shape(form.action)} {wrong} ({answer.status_code}): {values}")
        assert (await client.get("/", follow_redirects=True)).status_code == 200
    assert sorted(faults) == []


@pytest.mark.parametrize("name", SERVICES)
async def test_a_route_sent_anything_refuses_clearly(name: str, service_database: ServiceDatabase) -> None:
    schema = schemathesis.openapi.from_dict(services.schema_of(name))
    async with services.standing(name, service_database) as site:
        real = await real_values(site)
        operations: list[Any] = [each.ok() for each in schema.get_all_operations()]  # type: ignore[union-attr]
        assert operations
        for operation in operations:
            await asyncio.to_thread(assault, operation, site.address, name, real)


def assault(operation: Any, address: str, name: str, real: dict[str, str]) -> None:
    """Send one route what its description allows and what it doesn't, to real and to invented things."""
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])
    persons = ["ana", "carl", "marisol", "bea", "state", "ops"]

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=cases, person=st.sampled_from(persons), to_real=st.booleans())
    def send(case: Any, person: str, to_real: bool) -> None:
        if to_real:
            case.path_parameters = {
                parameter: real.get(parameter, value) for parameter, value in (case.path_parameters or {}).items()
            }
        headers = people.headers(person)
        if name == "ingest" and "counts" not in operation.path:
            headers = {"Authorization": f"Bearer {HARTFORD_TOKEN}"}
        answer = case.call(base_url=address, headers=headers, timeout=30)
        assert answer.status_code < 500, (operation.method, operation.path, answer.status_code)
        if answer.status_code >= 400:
            (kind,) = answer.headers["content-type"]
            assert "json" in kind, (operation.path, answer.status_code, answer.text)

    send()


async def real_values(site: Site) -> dict[str, str]:
    """Name things that are there, so that bad input reaches further than "there is nothing here"."""
    real = {"visitor_id": "marisol", "district": "hartford", "school": "H01"}
    for parameter, query in (
        ("request_id", "SELECT request_id FROM request LIMIT 1"),
        ("visit_id", "SELECT visit_id FROM visit LIMIT 1"),
    ):
        table = query.split(" FROM ")[1].split()[0]
        if await site.pool.fetchval("SELECT to_regclass($1)", table) is not None:
            real |= {parameter: str(found)} if (found := await site.pool.fetchval(query)) else {}
    return real


@asynccontextmanager
async def signed_in(site: Site, person: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without scripts, whose person reads Spanish."""
    async with httpx.AsyncClient(
        base_url=site.address, headers=people.SAME_ORIGIN, cookies={"language": "es"}, timeout=30
    ) as client:
        await client.post("/sign-in", data=people.sign_in(person))
        yield client


def test_the_reader_finds_forms_and_fills_them_in_wrongly() -> None:
    html = """<a href="/b#c">b</a><form method=post action=/x><input type=hidden name=version value=3>
    <input name=a value=1><select name=s><option value=p>P<option value=q selected>Q</select></form>"""
    links, (form,) = read("http://h/page", html)
    assert links == ["http://h/b"]
    assert (form.method, form.action, form.fields) == ("post", "http://h/x", {"version": "3", "a": "1", "s": "q"})
    wrong = variations(form)
    assert {"version": "3", "a": LONG, "s": LONG} in wrong
    assert {"a": "1", "s": "q"} in wrong


def test_the_complaints_are_made() -> None:
    def answer(status: int, text: str) -> httpx.Response:
        return httpx.Response(status, text=text, headers={"content-type": "text/html"})

    fine = '<html lang="es"><h1>No</h1>'
    assert [complaint(each) for each in (answer(422, fine), answer(200, "ok"))] == ["", ""]
    assert complaint(answer(500, fine)) == "fails"
    assert complaint(answer(200, f"you typed {SCRIPT}")) == "echoes markup"
    assert complaint(answer(422, fine.replace("es", "en"))) == "is not in the person's language"
    assert complaint(answer(422, '<html lang="es">')) == "says nothing"
