"""`leap answer HOUSEHOLD`: what a family may ask for: what is held of them, and who read it, in their language.

Each service is asked for its own, by the auditor's key; each records that it was. What is printed goes to the family
and to nobody else: a file of it is readable by its owner alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from babel.dates import format_date, format_time

from deploy.commands import http_client, people, state
from deploy.commands.answer_words import FamilyWords
from deploy.commands.screen import Screen
from deploy.commands.why import NobodyFound
from deploy.local.machine import write_whole
from services.runtime.web.people import People
from services.runtime.web.sign_in import COMMAND_AGENT
from services.scheduling.pages.words import language_name

ASKED = ("scheduling", "visitlog", "flagging", "reporting")
_NAMES = {
    "scheduling": "scheduling desk",
    "visitlog": "visit log",
    "flagging": "attendance",
    "reporting": "reports",
}
_PAGE_ROWS = 500
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What every service holds of a household, and every reading of it, the latest first."""

    household_key: str
    by_service: Mapping[str, Mapping[str, Any]]
    days_by_child: Mapping[str, Mapping[str, Any]]
    readings: list[dict[str, Any]]

    @property
    def contact(self) -> Mapping[str, Any]:
        """Give how the family is reached, as the desk has it; nothing where nothing is known."""
        for service in ("scheduling", "visitlog"):
            if contact := self.by_service[service].get("contact"):
                return dict(contact)
        return _NOTHING

    @property
    def district(self) -> str:
        """Say whose the household is."""
        return next((str(each["district"]) for each in self.by_service.values() if "district" in each), "")

    def name_of(self, child: str) -> str:
        """Give a child's given name; the beginning of the key where none is held."""
        named = {str(each["student_key"]): each["given_name"] for each in self.contact.get("students", ())}
        return str(named.get(child, child[:8]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the answer: a heading, sentences, and a table where there is one."""

    heading: str
    lines: list[str] = field(default_factory=list)
    table: list[list[str]] = field(default_factory=list)


def answer(screen: Screen, *, whose: str, by_name: bool, language: str | None, page: Path | None) -> int:
    """Print what is held of a household and who read it, or write it as a page to print. Raises NobodyFound."""
    found = state.load_running()
    addresses = {service: found.address_of(service) for service in ASKED}
    headers = people.acting_as("audit") | {"User-Agent": f"{COMMAND_AGENT}answer"}
    key = _key_named(addresses["scheduling"], whose, headers) if by_name else _key(whose)
    held = gather(addresses, key, headers)
    words = FamilyWords((language or str(held.contact.get("language", "en"))).split("-")[0])
    parts = list(parts_of(held, words, zone=found.zone(), names=_display_names()))
    screen.give({"household_key": held.household_key, "held": held.by_service, "days": held.days_by_child,
                 "readings": held.readings})  # fmt: skip
    if page is not None:
        write_whole(page, as_page(parts, words))
        screen.say(f"{page}: to print, in {words.language.name}")
    else:
        screen.say(as_text(parts))
    return 0


def gather(addresses: Mapping[str, str], household_key: str, headers: Mapping[str, str]) -> Held:
    """Ask every service what it holds, and who read it. Raises NobodyFound where none of them knows the household."""
    by_service = {
        service: _if_any(address, f"/v1/households/{household_key}/held", headers)
        for service, address in addresses.items()
    }
    if not any(by_service.values()):
        raise NobodyFound(f"no service holds anything of household {household_key}")
    children = sorted(
        {
            *(str(each["student_key"]) for each in by_service["scheduling"].get("children", ())),
            *map(str, by_service["flagging"].get("children", ())),
        }
    )
    days = {
        child: told
        for child in children
        if (told := _if_any(addresses["flagging"], f"/v1/students/{child}/absence", headers))
    }
    readings = [
        {**each, "service": service}
        for service, address in addresses.items()
        for each in _readings(address, household_key, children if service == "flagging" else [], headers)
    ]
    readings.sort(key=lambda each: str(each["at"]), reverse=True)
    return Held(household_key=household_key, by_service=by_service, days_by_child=days, readings=readings)


def parts_of(held: Held, words: FamilyWords, *, zone: tzinfo, names: Mapping[str, str]) -> Iterator[Part]:
    """Put what is held into a family's words."""
    say, today = words.say, datetime.now(zone).date()
    intro = say(
        "Answered on %(day)s. District: %(district)s. Key: %(key)s",
        day=_day(today, words), district=held.district, key=held.household_key,
    )  # fmt: skip
    yield Part(heading=say("What we hold of your family, and who read it"), lines=[intro])
    yield Part(heading=say("How we reach you"), lines=list(_contact(held, words)))
    yield Part(heading=say("School days of your children"), lines=list(_days(held, words)))
    yield Part(heading=say("Visits and calls"), lines=list(_visits(held, words, zone)))
    yield Part(heading=say("What was written down of visits"), lines=list(_logs(held, words, zone)))
    rows = sum(held.by_service["reporting"].get("held", {}).values())
    numbers = "In reports your family is a key and numbers, without a name: %(rows)s entries."
    door = "What your district sent is kept at the door for 30 days, and then only what is written here."
    yield Part(heading=say("Numbers in reports"), lines=[say(numbers, rows=rows), say(door)])
    table = [[say(each) for each in ("When", "Who", "What", "Why", "Where")]]
    table += [_reading(each, words, zone, names) for each in held.readings]
    nobody = [] if held.readings else [say("Nobody has read anything.")]
    yield Part(heading=say("Who read it"), lines=nobody, table=table if held.readings else [])
    yield Part(
        heading=say("What you may ask"),
        lines=[
            say("You may ask your school district to correct what is wrong, to add what is missing, and to delete it."),
            say("A visit is voluntary. None of this counts against your child."),
        ],
    )


def _contact(held: Held, words: FamilyWords) -> Iterator[str]:
    contact = held.contact
    if not contact:
        yield words.say("No name, phone or address is held.")
        return
    yield words.say("Name: %(name)s", name=contact["contact_name"])
    if contact["phones"]:
        yield words.say("Phones: %(phones)s", phones=", ".join(contact["phones"]))
    if contact["address"]:
        yield words.say("Address: %(address)s", address=contact["address"])
    yield words.say("Language: %(language)s", language=language_name(contact["language"], words.code))
    if contact["interpreter_needed"]:
        yield words.say("An interpreter is needed.")
    for child in contact["students"]:
        yield words.say("Child: %(name)s", name=f"{child['given_name']} {child['family_name']}")


def _days(held: Held, words: FamilyWords) -> Iterator[str]:
    if not held.days_by_child:
        yield words.say("No school days are held.")
    for child, told in held.days_by_child.items():
        name = held.name_of(child)
        if "waiting_days" in told:
            yield words.say(
                "%(name)s: marks of %(days)s days wait for an enrolment", name=name, days=told["waiting_days"]
            )
        for each in told["accumulators"]:
            if each["accumulator"] == "school" and told["as_of"]:  # no day counts yet: there is nothing to tell
                yield words.say(
                    "%(name)s, school %(school)s: missed %(absent)s of %(enrolled)s days, as of %(day)s",
                    name=name, school=each["school"], absent=each["days_absent"], enrolled=each["days_enrolled"],
                    day=_day(told["as_of"], words),
                )  # fmt: skip
        if told["absent_days"]:
            days = ", ".join(_day(day, words) for day in told["absent_days"])
            yield words.say("Days missed: %(days)s", days=days)


def _visits(held: Held, words: FamilyWords, zone: tzinfo) -> Iterator[str]:
    desk = held.by_service["scheduling"]
    if not any(desk.get(name) for name in ("requests", "contacts", "visits")):
        yield words.say("Nothing was arranged.")
    for each in desk.get("requests", ()):
        yield words.say(
            "Your family has been listed for a visit since %(day)s", day=_moment(each["opened_at"], words, zone)
        )
    for each in desk.get("contacts", ()):
        if not each["withdrawn_at"]:
            yield words.say(
                "%(day)s: we tried to reach you (%(way)s): %(answer)s",
                day=_moment(each["made_at"], words, zone), way=words.of_code(each["way"]),
                answer=words.of_code(each["answer"]),
            )  # fmt: skip
    for each in desk.get("visits", ()):
        place = words.of_code(each["place"]) + (f", {each['place_text']}" if each["place_text"] else "")
        said = words.say("%(day)s: visit (%(place)s)", day=_moment(each["starts_at"], words, zone), place=place)
        yield f"{said}: {words.of_code(each['state'])}"


_SAID = (("strengths", "Strengths"), ("hopes", "Hopes"), ("going_well", "What goes well"),
         ("in_the_way", "What gets in the way"))  # fmt: skip


def _logs(held: Held, words: FamilyWords, zone: tzinfo) -> Iterator[str]:
    logs = held.by_service["visitlog"].get("logs", ())
    if not logs:
        yield words.say("Nothing was written down.")
    for log in logs:
        yield f"{_moment(log['started_at'], words, zone)}: {words.of_code(log['outcome'])}"
        for name, text in _said_in(log["body"], words):
            yield f"{words.say(name)}: {text}"
        for each in log["referrals"]:
            yield f"{words.say('Resource')}: {words.of_code(each['resource'])}, {words.of_code(each['status'])}"
        for each in log["amendments"]:
            yield f"{words.say('Added later')}: {each['note']}"


def _said_in(body: Mapping[str, Any], words: FamilyWords) -> Iterator[tuple[str, str]]:
    voice = body.get("voice") or {}
    for name, title in _SAID:
        if voice.get(name):
            yield title, voice[name]
    for obstacle in voice.get("obstacles") or ():
        yield "What gets in the way", words.of_code(obstacle)
    if step := body.get("small_step"):
        yield "Small step", f"{step['what']} ({words.of_code(step['whose'])})"
    for promise in body.get("promises") or ():
        yield "Promised", f"{promise['what']} ({words.of_code(promise['whose'])}, {_day(promise['due'], words)})"
    for each in body.get("left") or ():
        yield "Left or done", words.of_code(each)
    if body.get("left_note"):
        yield "Left or done", body["left_note"]
    for name, text in (body.get("extra") or {}).items():
        yield "Further", f"{words.of_code(name)}: {text}"
    if body.get("private_note"):
        yield "Note to the coordinator", body["private_note"]


def _reading(each: Mapping[str, Any], words: FamilyWords, zone: tzinfo, names: Mapping[str, str]) -> list[str]:
    role = words.of_code(each["role"]) if each["role"] else words.say("an earlier record, without the role")
    times = f" (x {each['times']})" if each["times"] > 1 else ""
    where = words.say(_NAMES[each["service"]])
    return [
        _moment(each["at"], words, zone) + times,
        f"{names.get(each['person'], each['person'])}, {role}",
        ", ".join(map(words.of_code, each["what"])),
        words.of_code(each["purpose"]),
        f"{where}: {words.of_code(each['door'])}" if each["door"] else where,
    ]


def as_text(parts: list[Part]) -> str:
    """Lay the parts out as plain text."""
    lines: list[str] = []
    for part in parts:
        lines += [part.heading, "=" * len(part.heading), *part.lines]
        lines += [" | ".join(row) for row in part.table]
        lines.append("")
    return "\n".join(lines).rstrip()


_STYLE = """
body { font: 12pt/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 46rem; margin: 2rem auto;
       padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; border-bottom: 1px solid #777; break-after: avoid; }
ul { padding-inline-start: 1.2rem; } table { border-collapse: collapse; width: 100%; font-size: 0.85rem; }
th, td { text-align: start; vertical-align: top; padding: 0.25rem 0.4rem; border-bottom: 1px solid #ccc; }
tr { break-inside: avoid; } @page { margin: 18mm; }
"""


def as_page(parts: list[Part], words: FamilyWords) -> str:
    """Lay the parts out as one page to print, or to make a PDF of; it loads nothing from anywhere."""
    title, *rest = parts
    html = [f"<h1>{escape(title.heading)}</h1>", *(f"<p>{escape(line)}</p>" for line in title.lines)]
    for part in rest:
        html.append(f"<section><h2>{escape(part.heading)}</h2>")
        if part.lines:
            html.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in part.lines) + "</ul>")
        if part.table:
            head, *rows = part.table
            html.append("<table><thead><tr>" + "".join(f'<th scope="col">{escape(c)}</th>' for c in head))
            html.append("</tr></thead><tbody>")
            html += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
            html.append("</tbody></table>")
        html.append("</section>")
    return (
        f'<!doctype html>\n<html lang="{words.code}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title.heading)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{''.join(html)}</main></body>\n</html>\n"
    )


def _key(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise NobodyFound("that is no household's key; --name finds it by a parent's whole name") from None


def _key_named(address: str, name: str, headers: Mapping[str, str]) -> str:
    found = http_client.post_json(address, "/v1/households/sought", headers, {"name": name})["households"]
    if len(found) != 1:
        keys = ", ".join(f"{each['household_key']} ({each['district']})" for each in found) or "none"
        raise NobodyFound(f"{len(found)} households have a contact of this name: {keys}; name one by its key")
    return str(found[0]["household_key"])


def _if_any(address: str, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        told: Mapping[str, Any] = http_client.get(address, path, headers)
    except http_client.NotThere:
        return _NOTHING
    return told


def _readings(
    address: str, household_key: str, children: list[str], headers: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for whose in (household_key, *children):
        after = ""
        while after is not None:
            query = urlencode({"whose": whose, "limit": _PAGE_ROWS, "after": after})
            told = http_client.get(address, f"/v1/disclosures?{query}", headers)
            # A child's readings stand under the household, too, once one is known: each is told once.
            yield from (
                each for each in told["disclosures"] if whose == household_key or household_key not in each["whose"]
            )
            after = told["next"]


def _display_names() -> dict[str, str]:
    return {each.name: each.display_name for each in People.load(people.people_file())}


def _day(day: date | str, words: FamilyWords) -> str:
    return format_date(date.fromisoformat(day) if isinstance(day, str) else day, "medium", locale=words.language.locale)


def _moment(moment: str, words: FamilyWords, zone: tzinfo) -> str:
    at = datetime.fromisoformat(moment).astimezone(zone)
    locale = words.language.locale
    return f"{format_date(at.date(), 'medium', locale=locale)}, {format_time(at.time(), 'short', locale=locale)}"
