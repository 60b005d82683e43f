"""The further fields of a district's log, decided on the policy's page: added, changed, taken off, faults beside."""

from typing import Any

import httpx
import pytest

from contracts import events
from tests.component.scheduling.test_desk_forms import HOSTILE, at_the_desk, policy_form
from tests.component.scheduling.test_one_policy import BUS, PATH, a_school_day, decide, told
from tests.component.visit_events import World
from tests.people import headers

BUS_LINE = {"code": "bus", "en": "Bus line", "kind": "text"}
NEAR = {"code": "near", "labels": {"en": "Near the school", "es": "Cerca de la escuela"}}
WHERE: dict[str, Any] = {
    "code": "home_is",
    "labels": {"en": "Where is home?", "es": "¿Dónde está el hogar?"},
    "kind": "choice",
    "choices": [NEAR, {"code": "far", "labels": {"en": "Far away"}}],
}


def row(number: int, **typed: str) -> dict[str, str]:
    """One row of the form, as a person left it."""
    return {f"extra_fields.{number}.{name}": text for name, text in {"kind": "text", **typed}.items()}


def form(*rows: dict[str, str], **changed: str) -> dict[str, str]:
    """The policy's form with these fields of the log."""
    whole = policy_form(extra_fields="shown", **changed)
    for each in rows:
        whole |= each
    return whole


async def fields_told(world: World) -> list[dict[str, Any]]:
    said = events.DistrictPolicyDecided.model_validate((await told(world))[-1][3])
    return [field.model_dump(mode="json") for field in said.log.extra_fields]


async def test_a_field_is_added_in_both_languages_and_told_with_the_policy(world: World) -> None:
    carl = await at_the_desk(world, "carl")
    bus = row(0, code="bus", en="Does the bus reach them?", es="¿Les llega el autobús?", kind="yes_no")
    where = row(4, code="home_is", en="Where is home?", es="¿Dónde está el hogar?", kind="choice",
                choices="near = Near the school | Cerca de la escuela\r\n\r\nfar= Far away")  # fmt: skip
    assert (await carl.post("/policy", data=form(bus, row(2), where))).status_code == 303

    labels = {"en": "Does the bus reach them?", "es": "¿Les llega el autobús?"}
    assert await fields_told(world) == [{"code": "bus", "labels": labels, "kind": "yes_no", "choices": []}, WHERE]
    page = (await carl.get("/policy")).text
    assert 'value="¿Les llega el autobús?"' in page
    assert "near = Near the school | Cerca de la escuela\nfar = Far away" in page


async def test_a_field_is_changed_and_another_taken_off(world: World) -> None:
    await decide(world, version=0, effective_from=str(a_school_day(ahead=-3)), log={"extra_fields": [BUS, WHERE]})
    carl = await at_the_desk(world, "carl")
    gone = row(0, code="bus", en="Bus line", remove="yes")
    kept = row(1, code="home_is", en="How far is home?", es="", kind="number", choices="")
    assert (await carl.post("/policy", data=form(gone, kept, version="1"))).status_code == 303
    assert await fields_told(world) == [
        {"code": "home_is", "labels": {"en": "How far is home?"}, "kind": "number", "choices": []}
    ]


async def test_what_a_program_wrote_and_no_row_can_hold_stays_where_nobody_touched_it(world: World) -> None:
    odd = {"code": "odd", "labels": {"en": "Two\tcolumns,  and\nlines"}, "kind": "choice",
           "choices": [{"code": "both", "labels": {"en": "this | that"}}]}  # fmt: skip
    await decide(world, version=0, effective_from=str(a_school_day(ahead=-3)), log={"extra_fields": [odd]})
    carl = await at_the_desk(world, "carl")
    untouched = row(0, code="odd", en="Two columns, and lines", es="", kind="choice", choices="both = this | that")
    assert (await carl.post("/policy", data=form(untouched, version="1", tries="7"))).status_code == 303
    assert await fields_told(world) == [odd]


@pytest.mark.parametrize("number", ["1000", "01", "00", "1" * 5000, "x"])
async def test_a_row_is_one_however_it_is_numbered(world: World, number: str) -> None:
    carl = await at_the_desk(world, "carl")
    odd = {f"extra_fields.{number}.{name}": text for name, text in BUS_LINE.items()}
    assert (await carl.post("/policy", data=form(row(1, code="first", en="First"), odd))).status_code == 303
    assert sorted(field["code"] for field in await fields_told(world)) == ["bus", "first"]


@pytest.mark.parametrize("unseen", ["\u200b", "\u2063\u200d", "\u3164", "\u2800", "\ufe0f"])
async def test_a_label_that_nobody_can_see_is_none(world: World, unseen: str) -> None:
    carl = await at_the_desk(world, "carl")
    answer = await carl.post("/policy", data=form(row(0, code="bus", en=unseen)))
    assert answer.status_code == 422
    assert "Write what visitors read" in beside(answer, "extra_fields.0.en")
    sent = {"version": 0, "log": {"extra_fields": [{"code": "bus", "labels": {"en": unseen}}]}}
    assert (await world.http.put(PATH, json=sent, headers=headers("carl"))).status_code == 422
    assert await world.pool.fetchval("SELECT count(*) FROM policy") == 0


async def test_one_more_row_is_shown_and_nothing_decided_or_lost(world: World) -> None:
    carl = await at_the_desk(world, "carl")
    typed = form(row(0, code="Not yet", en="Half a <question>"), tries="999", effective_from="soon")
    page = await carl.post("/policy?more=field", data=typed)
    assert page.status_code == 200
    for kept in ('value="Not yet"', 'value="Half a &lt;question&gt;"', 'value="999"', 'value="soon"'):
        assert kept in page.text
    assert 'name="extra_fields.1.code"' in page.text
    assert 'name="extra_fields.2.code"' not in page.text
    assert "autofocus" in page.text.split('name="extra_fields.1.en"')[1].split(">")[0]
    assert await world.pool.fetchval("SELECT count(*) FROM policy") == 0


@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"code": "Bus stop"}, "code", "Give a code of small letters, digits and underscores, such as bus_stop."),
        ({"code": ""}, "code", "Give a code of small letters, digits and underscores, such as bus_stop."),
        ({"en": "", "es": ""}, "en", "Write what visitors read, in English or in Spanish."),
        ({"es": "x" * 501}, "es", "Shorten this to 500 characters."),
        ({"kind": "essay"}, "kind", "Choose one of these."),
        ({"kind": "choice", "choices": ""}, "choices", "A field with choices needs at least one; write it"),
        ({"kind": "choice", "choices": "near"}, "choices", "Write one choice a line, such as: near = Near the school"),
        ({"kind": "choice", "choices": "a = A\na = B"}, "choices", "Two choices of one field have the same code"),
        ({"code": "other"}, "code", "Two further fields of the log have the same code; name them apart"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_input_and_everything_typed_is_kept(
    world: World, wrong: dict[str, str], field: str, sentence: str
) -> None:
    carl = await at_the_desk(world, "carl")
    # A row that is to go and an empty one stand before it: the fault is the third row's all the same.
    other = row(0, code="other", en="Other")
    typed = row(3, **{"code": "bus", "en": "Bus <line>", "es": "Línea"} | wrong)
    answer = await carl.post("/policy", data=form(other, row(1, code="old", en="Old", remove="yes"), row(2), typed))
    assert answer.status_code == 422
    assert sentence in beside(answer, f"extra_fields.3.{field}")
    assert f'href="#extra_fields.3.{field}"' in answer.text
    for name, text in typed.items():
        if name.endswith((".code", ".en", ".es")):
            assert f'name="{name}"' in answer.text
            assert f'value="{text.replace("<", "&lt;").replace(">", "&gt;")}"' in answer.text
    assert await world.pool.fetchval("SELECT count(*) FROM policy") == 0


async def test_more_than_twenty_fields_are_too_many(world: World) -> None:
    carl = await at_the_desk(world, "carl")
    rows = [row(number, code=f"field_{number}", en="Field") for number in range(21)]
    answer = await carl.post("/policy", data=form(*rows))
    assert answer.status_code == 422
    assert "A log has 20 further fields at most" in beside(answer, "extra_fields")
    assert "Add a field" not in answer.text


@pytest.mark.parametrize("input_name", ["code", "en", "es", "kind", "choices", "remove"])
async def test_hostile_texts_are_refused_or_shown_as_text(world: World, input_name: str) -> None:
    carl = await at_the_desk(world, "carl")
    for value in HOSTILE:
        version = await world.pool.fetchval("SELECT count(*) FROM policy")
        typed = row(0, **{"code": "bus", "en": "Bus", "kind": "choice", "choices": "a = A", input_name: value})
        answer = await carl.post("/policy", data=form(typed, version=str(version)))
        assert answer.status_code in (303, 422), (value, answer.status_code)
        assert "<script>alert" not in answer.text + (await carl.get("/policy")).text


async def test_a_mistake_of_the_whole_policy_stands_beside_what_corrects_it(world: World) -> None:
    carl = await at_the_desk(world, "carl")
    for changed, field, sentence in (
        ({"effective_from": "2026-11-28"}, "effective_from", "A policy is in force from a school day; choose one"),
        ({"weight_worsening": "9"}, "weight_worsening", "The weight of worsening may"),
        ({"earliest_hour": "20", "latest_hour": "8"}, "latest_hour", "Visiting hours end after they begin"),
    ):
        answer = await carl.post("/policy", data=form(**changed))
        assert answer.status_code == 422
        assert sentence in beside(answer, field)


async def test_two_who_decide_at_once_are_told_and_nothing_is_done_away_unseen(world: World) -> None:
    carl = await at_the_desk(world, "carl")
    mine = form(row(0, code="gym", en="Gym"), accumulator="school", tries="no number")
    assert (await carl.post("/policy", data=mine)).status_code == 422
    await decide(world, version=0, effective_from=str(a_school_day(ahead=-3)), log={"extra_fields": [BUS]})

    # What comes back for correction still replaces the version that was read, also with one more row.
    for path in ("/policy", "/policy?more=field"):
        assert 'name="version" value="0"' in (await carl.post(path, data=mine)).text
    stale = await carl.post("/policy", data=mine | {"tries": "4"})
    assert stale.status_code == 409
    told_apart = stale.text.split('class="notice bad conflict"')[1].split("</table>")[0]
    assert "bus: Bus line (words)" in told_apart
    assert "gym: Gym (words)" in told_apart
    assert "all schools of the district together" in told_apart
    assert 'value="Gym"' in stale.text
    assert 'name="version" value="1"' in stale.text, "who has seen the other one may decide over it"
    assert await world.pool.fetchval("SELECT max(version) FROM policy") == 1


async def test_a_choice_of_nothing_is_refused_at_the_other_door_too(world: World) -> None:
    for field, code in (
        (WHERE | {"choices": []}, "no_choices"),
        (WHERE | {"choices": [NEAR, NEAR]}, "choice_twice"),
    ):
        sent = {"version": 0, "log": {"extra_fields": [field]}}
        refused = await world.http.put("/v1/policies/hartford", json=sent, headers=headers("carl"))
        assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_after_a_decision_it_is_said_whether_it_is_in_force_or_waits(world: World) -> None:
    carl = await at_the_desk(world, "carl")
    for version, ahead, sentence in ((0, -3, "It is in force: flags are judged by it now"), (1, 30, "It waits for ")):
        typed = form(version=str(version), effective_from=str(a_school_day(ahead=ahead)))
        led = (await carl.post("/policy", data=typed)).headers["location"]
        assert sentence in (await carl.get(led)).text


async def test_schedulers_read_the_fields_and_change_none(world: World) -> None:
    await decide(world, version=0, effective_from=str(a_school_day(ahead=-3)), log={"extra_fields": [BUS]})
    ana = await at_the_desk(world, "ana", "es")
    page = (await ana.get("/policy")).text
    assert 'value="Bus line"' in page
    assert "Añadir un campo" not in page
    assert (await ana.post("/policy", data=form(version="1"))).status_code == 403


def beside(answer: httpx.Response, field: str) -> str:
    """What is said under an input."""
    return answer.text.partition(f'id="fault-{field}">')[2].partition("</p>")[0]
