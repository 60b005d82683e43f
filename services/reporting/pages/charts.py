"""Charts: one Vega-Lite specification per kind of table, drawn as SVG here, without a browser.

Each has a title and a description for readers who hear it; the table beside it tells the same numbers. Colours come
with labels, and a hidden number is written as such, never drawn as nothing.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

import altair as alt
import msgspec
import vl_convert

from services.reporting.pages.effect_chart import of_effect
from services.reporting.pages.words import Words
from services.reporting.rules.measures import STEPS
from services.reporting.rules.tables import STATE, Table
from services.runtime.web.languages import N_

WIDE, NARROW = 640, 320
_FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
_ACCENT, _INK, _SOFT, _LINE = "#0b5f63", "#1d2226", "#545c63", "#d9d7ce"
_LOG_COLOURS = ["#1c6433", "#8a5a00", "#7d96bf", "#a11d2c"]
_ROW = 26

# One line alone compares with nothing: the number itself says more than a single bar.
_COMPARES = frozenset({"visits", "visitors", "chronic", "first-visit", "languages"})

Rows = list[dict[str, Any]]
Chart = alt.Chart | alt.LayerChart | alt.FacetChart


def drawn(table: Table, words: Words, *, width: int) -> str:
    """Draw the table's chart as SVG. Ask `has_chart` first."""
    chart = CHARTS[table.name](table, words, width)
    title = words.say(table.kind.title)
    return _with_title(_svg(msgspec.json.encode(_configured(chart).to_dict()).decode()), title, described(table, words))


def has_chart(table: Table) -> bool:
    """Say whether there is a chart of the table."""
    return table.name in CHARTS and len(table.lines) > (1 if table.name in _COMPARES else 0)


def described(table: Table, words: Words) -> str:
    """Tell the chart in a sentence: which measures, of what, the highest and the lowest shown."""
    measure = MEASURE_DRAWN.get(table.name, table.kind.measures[0])
    told = [(number, keys) for keys, number, hidden in table.column(measure) if number is not None and not hidden]
    shown = [each for each in told if STATE not in each[1]] or told
    if not shown:
        return words.say(N_("%(measure)s: no number can be shown."), measure=words.title(measure))
    (low, lowest), (high, highest) = min(shown), max(shown)

    def named(keys: tuple[str, ...]) -> str:
        return ", ".join(words.label(key, code) for key, code in zip(table.kind.keys, keys, strict=True))

    return words.say(
        N_("%(measure)s: from %(low)s (%(lowest)s) to %(high)s (%(highest)s). The table tells every number."),
        measure=words.title(measure),
        low=words.number(low, measure),
        lowest=named(lowest),
        high=words.number(high, measure),
        highest=named(highest),
    )


@lru_cache(maxsize=256)
def _svg(specification: str) -> str:
    return str(vl_convert.vegalite_to_svg(msgspec.json.decode(specification)))


def _with_title(svg: str, title: str, description: str) -> str:
    head, rest = svg.split(">", 1)
    named = f'<title id="title">{escape(title)}</title><desc id="desc">{escape(description)}</desc>'
    return f'{head} role="img" aria-labelledby="title desc">{named}{rest}'


def _configured(chart: Chart) -> Chart:
    configured: Chart = (
        chart.configure(background="#ffffff", font=_FONT, padding={"left": 12, "top": 6, "right": 10, "bottom": 4})
        .configure_axis(
            labelColor=_INK, titleColor=_SOFT, labelFontSize=12, titleFontSize=12, gridColor=_LINE, domainColor=_LINE,
            tickColor=_LINE, titleFontWeight="normal", labelLimit=170,
        )
        .configure_legend(labelColor=_INK, labelFontSize=12, title=None, orient="top", columns=2, symbolType="square")
        .configure_view(stroke=None)
    )  # fmt: skip
    return configured


def _values(rows: Rows) -> alt.Data:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def _rows(table: Table, words: Words, measure: str, key: str) -> Rows:
    at = table.kind.keys.index(key)
    rows = []
    for keys, number, hidden in table.column(measure):
        shown = words.say(N_("hidden")) if hidden else words.number(number, measure)
        rows.append({"name": words.label(key, keys[at]), "code": keys[at], "value": number, "text": shown})
    return rows


def _bars(rows: Rows, axis: str, width: int, *, ordered: bool = True) -> Chart:
    """Horizontal bars with their numbers at the end, the largest first unless the lines have an order of their own."""
    if ordered:
        rows = sorted(rows, key=lambda row: (-(row["value"] if row["value"] is not None else -1), row["name"]))
    largest = max((row["value"] for row in rows if row["value"] is not None), default=0) or 1
    base = alt.Chart(_values(rows)).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=alt.Axis(ticks=False, domain=False)),
    )
    bars = base.mark_bar(color=_ACCENT, height=16, cornerRadiusEnd=2).encode(
        x=alt.X(
            "value:Q",
            title=axis,
            scale=alt.Scale(domain=[0, largest * 1.16]),
            axis=alt.Axis(tickCount=4 if width < WIDE else 6, format=",.0f" if largest >= 10 else ",.1~f"),
        )
    )
    label = base.mark_text(align="left", dx=4, color=_INK, fontSize=12).encode(
        x=alt.X("at:Q"), text=alt.Text("text:N")
    ).transform_calculate(at="datum.value === null ? 0 : datum.value")  # fmt: skip
    return alt.layer(bars, label).properties(width=_plot_width(width, rows), height=_ROW * len(rows))


def _plot_width(width: int, rows: Rows) -> int:
    longest = max((len(str(row["name"])) for row in rows), default=0)
    return max(120, width - 30 - min(175, 7 * longest))


def _by_district(measure: str) -> Callable[[Table, Words, int], Chart]:
    def make(table: Table, words: Words, width: int) -> Chart:
        rows = [row for row in _rows(table, words, measure, "district") if row["code"] != STATE]
        return _bars(rows or _rows(table, words, measure, "district"), words.title(measure), width)

    return make


def _steps(table: Table, words: Words, width: int) -> Chart:
    """The funnel of the whole state, or of the one district the table is about."""
    lines = [line for line in table.lines if line.keys[0] == STATE] or list(table.lines)
    rows = [
        {
            "name": words.title(step),
            "value": number,
            "text": words.say(N_("hidden")) if step in lines[0].hidden else words.number(number, step),
        }
        for step, number in zip(STEPS, lines[0].numbers, strict=True)
    ]
    return _bars(rows, words.say(N_("Households")), width, ordered=False)


def _in_order(measure: str, key: str) -> Callable[[Table, Words, int], Chart]:
    def make(table: Table, words: Words, width: int) -> Chart:
        return _bars(_rows(table, words, measure, key), words.title(measure), width, ordered=False)

    return make


def _by_band(table: Table, words: Words, width: int) -> Chart:
    places = {line.keys[0] for line in table.lines}
    return _in_order("chronic_rate", "band")(
        table.where("district", STATE if STATE in places else min(places)), words, width
    )


def _over_months(measure: str) -> Callable[[Table, Words, int], Chart]:
    def make(table: Table, words: Words, width: int) -> Chart:
        rows = _rows(table, words, measure, "month")
        top = max((row["value"] for row in rows if row["value"] is not None), default=0) or 1
        base = alt.Chart(_values(rows)).encode(
            x=alt.X("name:N", sort=[row["name"] for row in rows], title=None,
                    axis=alt.Axis(labelAngle=-40 if len(rows) > (6 if width >= WIDE else 3) else 0)),
            y=alt.Y("value:Q", title=words.title(measure), scale=alt.Scale(domain=[0, top * 1.15]),
                    axis=alt.Axis(tickCount=5)),
        )  # fmt: skip
        curve = base.mark_line(color=_ACCENT, strokeWidth=2.5, point=alt.OverlayMarkDef(color=_ACCENT, size=55))
        label = base.mark_text(dy=-12, color=_INK, fontSize=12).encode(text="text:N")
        return alt.layer(curve, label).properties(width=width - 60, height=200)

    return make


def _logs(table: Table, words: Words, width: int) -> Chart:
    """Stacked bars: how the logs of each district stand. A line with a hidden part is left to the table."""
    states = ("in_time", "late", "waiting", "overdue")
    at = {state: table.kind.measures.index(state) for state in states}
    lines = [line for line in table.lines if not line.hidden.intersection(states)]
    rows = [
        {"name": words.place(line.keys[0]), "state": words.title(state), "value": line.numbers[at[state]], "order": n}
        for line in lines
        for n, state in enumerate(states)
    ]
    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    share = len(names) > 1
    chart: Chart = (
        alt.Chart(_values(rows))
        .mark_bar(height=16)
        .encode(
            y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(ticks=False, domain=False)),
            x=alt.X(
                "value:Q",
                stack="normalize" if share else "zero",
                title=words.say(N_("Share of logs due")) if share else words.title("due"),
                axis=alt.Axis(format="%", tickCount=4) if share else alt.Axis(tickCount=4, format=",.0f"),
            ),
            color=alt.Color(
                "state:N",
                sort=None,
                scale=alt.Scale(domain=[words.title(state) for state in states], range=_LOG_COLOURS),
            ),
            order=alt.Order("order:Q"),
        )
        .properties(width=_plot_width(width, rows), height=max(_ROW, _ROW * len(names)))
    )
    return chart


def _waits(table: Table, words: Words, width: int) -> Chart:
    """A bar from the first to the third quartile, with the median as a tick."""
    rows = [
        dict(zip(("name", "low", "half", "high"), (words.place(line.keys[0]), *line.numbers), strict=True))
        for line in table.lines
        if None not in line.numbers
    ]
    names = [str(row["name"]) for row in rows]
    base = alt.Chart(_values(rows)).encode(
        y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(ticks=False, domain=False))
    )
    bar = base.mark_bar(height=12, color="#9cc7c5").encode(
        x=alt.X("low:Q", title=words.say(N_("Days from flag to first visit")), scale=alt.Scale(zero=True)),
        x2="high:Q",
    )
    tick = base.mark_tick(color=_INK, thickness=3, size=18).encode(x="half:Q")
    return alt.layer(bar, tick).properties(width=_plot_width(width, rows), height=max(_ROW, _ROW * len(names)))


MEASURE_DRAWN = {"chronic": "chronic_rate", "chronic-by-band": "chronic_rate", "chronic-by-month": "chronic_rate",
                 "first-visit": "half_waited", "logs": "in_time_share", "effect": "effect",
                 "effect-by-band": "effect", "still-chronic": "still_chronic_share"}  # fmt: skip

CHARTS: dict[str, Callable[[Table, Words, int], Chart]] = {
    "funnel": _steps,
    "visits": _by_district("visits"),
    "visitors": _by_district("trained"),
    "chronic": _by_district("chronic_rate"),
    "chronic-by-band": _by_band,
    "chronic-by-month": _over_months("chronic_rate"),
    "first-visit": _waits,
    "logs": _logs,
    "effect": of_effect,
    "effect-by-band": of_effect,
    "still-chronic": _by_district("still_chronic_share"),
    "queue": _in_order("open_requests", "stage"),
    "visits-by-month": _over_months("visits"),
    "load": _in_order("visits_of_visitor", "visitor"),
    "flagged-by-grade": _in_order("flagged_students", "grade"),
    "languages": _in_order("speakers", "language"),
}
