"""A form becomes a model or says, field by field, what to correct; what was typed stays."""

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model

from services.runtime.web.forms import OTHERWISE, WORDS, ClockTime, Fault, Form, Layout, bounds_of, read_into
from services.runtime.web.languages import OWN_TRANSLATIONS, Language
from tests.form_errors import errors_of


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _no_seven(number: int) -> int:
    if number == 7:
        raise ValueError("not seven")
    return number


class Hours(Part):
    weekday: Annotated[int, Field(ge=1, le=7)]
    begins: ClockTime
    ends: ClockTime


class Errand(Part):
    what: Annotated[str, Field(min_length=1, max_length=12)]
    due: date
    whose: Colour = Colour.RED


class Weights(Part):
    rate: Annotated[int, Field(ge=0, lt=1000)] = 3
    colours: tuple[Colour, ...] = ()


class Order(Part):
    """One of everything that a form can hold."""

    version: Annotated[int, Field(ge=1, lt=100)]
    colour: Colour
    way: Literal["call", "text"] = "call"
    of: UUID | None = None
    price: Annotated[float, Field(gt=0)] | None = None
    from_day: date | None = None
    at: ClockTime | None = None
    moment: AwareDatetime | None = None
    code: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    number: Annotated[int, AfterValidator(_no_seven)] | None = None
    urgent: bool = True
    insured: bool | None = None
    colours: Annotated[tuple[Colour, ...], Field(max_length=2)] = (Colour.RED,)
    names: Annotated[list[str], Field(min_length=1)] = ["anybody"]
    errands: Annotated[list[Errand], Field(max_length=2)] = []
    hours: list[Hours] = []
    weights: Weights = Weights()
    extra: Annotated[dict[Annotated[str, Field(pattern="^[a-z]+$")], Annotated[str, Field(max_length=5)]], Field()] = {}


LEAST = {"version": "1", "colour": "red", "names": "Ana"}
LAYOUT = Layout(
    names={
        "errands.*.due": "errand-days.*",
        "hours.*.weekday": "weekday",
        "hours.*.begins": "begins",
        "hours.*.ends": "ends",
        "weights.rate": "weight_rate",
    },
    needs={"errands": ("what",), "hours": ("begins", "ends")},
    words={"code": "Two letters.", "enum": "Choose from %(most)s."},
)
SPANISH = Language("es", sorted((OWN_TRANSLATIONS / "es" / "LC_MESSAGES").glob("*.po")))


def form(*more: tuple[str, str], **fields: str) -> Form:
    return Form([*(LEAST | fields).items(), *more])


def faults(read: Any) -> dict[str, str]:
    assert read.value is None
    return {fault.field: fault.text for fault in read.faults}


@pytest.mark.parametrize("row", ["01", "1000", "-1", "x", "\u0661"])
def test_a_row_that_no_page_writes_is_refused_and_not_dropped_unseen(row: str) -> None:
    with pytest.raises(HTTPException) as refused:
        read_into(Order, form((f"errands.{row}.what", "Call")), layout=LAYOUT)
    assert refused.value.status_code == 422


def test_a_form_becomes_the_model() -> None:
    read = read_into(
        Order,
        form(
            ("names", " Omar "), ("names", " "), ("errands.0.what", ""), ("errands.4.what", "Call"),
            ("errands.4.due", "2026-11-30"), ("errands.4.whose", "blue"), ("weights.rate", "12"),
            ("weights.colours", "red"), ("extra.bus", "30"), ("extra.ride", " "), ("unknown", "x"),
            at="16:30", way="text", insured="no", from_day="2026-11-30", moment="2026-11-30T16:30Z",
        ),
    )  # fmt: skip
    assert read.faults == ()
    assert read.value == Order(
        version=1,
        colour=Colour.RED,
        way="text",
        from_day=date(2026, 11, 30),
        at=time(16, 30),
        moment=datetime.fromisoformat("2026-11-30T16:30+00:00"),
        urgent=False,
        insured=False,
        colours=(),
        names=["Ana", "Omar"],
        errands=[Errand(what="Call", due=date(2026, 11, 30), whose=Colour.BLUE)],
        weights=Weights(rate=12, colours=(Colour.RED,)),
        extra={"bus": "30"},
    )


def test_empty_is_left_out_but_a_box_without_a_tick_says_no_and_a_list_without_a_choice_is_empty() -> None:
    read = read_into(Order, Form([("version", ""), ("colour", " "), ("urgent", "")]))
    assert faults(read) == {"version": WORDS["missing"], "colour": WORDS["missing"], "names": WORDS["too_short"]}
    ticked = read_into(Order, form(urgent="yes")).value
    assert ticked is not None
    assert (ticked.urgent, ticked.insured, ticked.colours) == (True, None, ())


def test_what_is_wrong_is_said_where_it_was_typed() -> None:
    read = read_into(
        Order,
        form(
            ("errands.0.whose", "blue"), ("errands.1.what", "far too much to do"), ("errand-days.1", "tomorrow"),
            ("errands.3.what", "Call"), ("weekday", "1"), ("weekday", "9"), ("begins", ""), ("begins", "08"),
            ("ends", ""), ("ends", "half past"), ("weight_rate", "1000"), ("colours", "red"), ("colours", "green"),
            ("extra.bus", "number 30"), ("extra.Bus", "3"), version="0", code="Spanish", number="7",
        ),
        layout=LAYOUT,
    )  # fmt: skip
    assert faults(read) == {
        "version": WORDS["greater_than_equal"],
        "colours": "Choose from %(most)s.",
        "code": "Two letters.",
        "number": OTHERWISE,
        "errands.1.what": WORDS["string_too_long"],
        "errand-days.1": WORDS["date_from_datetime_parsing"],
        "errand-days.3": WORDS["missing"],
        "weekday": WORDS["less_than_equal"],
        "ends": WORDS["time_parsing"],
        "weight_rate": WORDS["less_than"],
        "extra.bus": WORDS["string_too_long"],
        "extra.Bus": WORDS["string_pattern_mismatch"],
    }


def test_columns_are_rows_and_a_row_without_what_it_needs_is_not_there() -> None:
    columns = [("weekday", "1"), ("weekday", "2"), ("begins", ""), ("begins", "08:00"), ("ends", ""), ("ends", "09:30")]
    read = read_into(Order, form(*columns), layout=LAYOUT).value
    assert read is not None
    assert read.hours == [Hours(weekday=2, begins=time(8), ends=time(9, 30))]
    assert "begins" in faults(read_into(Order, form(*columns[:3], ("ends", "10:00")), layout=LAYOUT))


def test_a_sentence_may_name_the_bounds() -> None:
    words = {"int_parsing": "From %(least)s to %(most)s.", "string_too_long": "At most %(longest)s letters."}
    sent = form(("errands.0.what", "far too much to do"), ("errands.0.due", "2026-11-30"), version="x")
    read = read_into(Order, sent, layout=Layout(words=words))
    assert read.said(Language("en", ())) == {
        "version": "From 1 to 99.",
        "errands.0.what": "At most 12 letters.",
    }


def test_a_page_may_show_the_bounds_of_a_field() -> None:
    assert bounds_of(Order, ("version",)) == {"least": 1, "most": 99}
    assert bounds_of(Order, ("weights", "rate")) == {"least": 0, "most": 999}
    assert bounds_of(Order, ("errands", 3, "what")) == {"shortest": 1, "longest": 12}
    assert bounds_of(Order, ("colour",)) == {}


def test_a_day_may_have_bounds_too() -> None:
    trained = create_model("Trained", since=(Annotated[date, Field(ge=date(2000, 1, 1))], ...))
    (fault,) = read_into(trained, Form([("since", "1999-12-31")])).faults
    assert fault == Fault("since", WORDS["greater_than_equal"], {"least": date(2000, 1, 1)})


def test_what_the_page_knows_or_found_stands_before_what_the_form_says() -> None:
    layout = Layout(names={"version": "seen", "errands.*.due": "errands.*.day"})
    given = {"version": 3, "colour": None, "errands": [{"what": "Call", "due": "never"}]}
    read = read_into(
        Order, form(version="x"), layout=layout, given=given, faults=[Fault("colour", "a"), Fault("of", "b")]
    )
    assert faults(read) == {"colour": "a", "of": "b", "errands.0.day": WORDS["date_from_datetime_parsing"]}
    assert read_into(Order, form(), given={"version": 9}).value == read_into(Order, form(version="9")).value
    assert faults(read_into(Order, form(), layout=layout, given={"version": None})) == {"seen": WORDS["missing"]}
    half_read = read_into(Order, form(), given={"version": None}, faults=[Fault("day", "When?")])
    assert faults(half_read) == {"day": "When?"}, "what the page could not read is told once, where it was typed"


@pytest.mark.parametrize(
    ("typed", "at"), [("16:30", time(16, 30)), ("08:05:09", time(8, 5, 9)), ("4 pm", None), ("16:30Z", None)]
)
def test_a_time_is_what_a_clock_on_the_wall_shows(typed: str, at: time | None) -> None:
    read = read_into(Order, form(at=typed))
    assert (read.value and read.value.at) == at
    assert at is not None or faults(read) == {"at": WORDS["time_parsing"]}


def test_faults_are_told_in_the_readers_language() -> None:
    read = read_into(Order, form(version="x"))
    assert read.said(SPANISH) == {"version": "Escriba un número entero."}


NAMES = [*Order.model_fields, "errands.0.what", "errands.1.due", "hours.0.weekday", "hours.0.ends", "extra.bus", "x"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=20) | st.sampled_from(["1", "red", "x"]))))
def test_whatever_a_form_holds_it_is_the_model_or_says_what_to_correct(fields: list[tuple[str, str]]) -> None:
    read = read_into(Order, Form(fields))
    assert (read.value is None) == bool(read.faults)
    assert len({fault.field for fault in read.faults}) == len(read.faults)


def test_every_error_that_a_text_can_cause_has_its_words() -> None:
    assert errors_of(Order) - {"value_error"} == set(WORDS) - {"decimal_parsing", "finite_number", "date_parsing"}


@given(st.sampled_from(sorted(Order.model_fields)), st.text(max_size=12) | st.sampled_from(["9" * 5000, "1e400", "-1"]))
def test_the_walk_of_a_model_foresees_what_pydantic_finds(name: str, typed: str) -> None:
    for value in (typed, [typed], [{"what": typed, "due": typed, "weekday": typed, "begins": typed}], {typed: typed}):
        try:
            Order.model_validate({name: value})
        except ValidationError as invalid:
            found = {error["type"] for error in invalid.errors()}
            shapes = {each for each in found if each.endswith("_type") or each == "extra_forbidden"}
            assert found - shapes <= errors_of(Order)


def test_a_word_that_is_missing_is_noticed() -> None:
    class Measured(Part):
        halves: Annotated[float, Field(multiple_of=0.5)]
        took: timedelta

    with pytest.raises(KeyError):
        errors_of(Measured)
    assert errors_of(create_model("Halves", halves=(Annotated[float, Field(multiple_of=0.5)], ...))) - set(WORDS) == {
        "multiple_of"
    }
