"""The effect by month since the first visit: the comparison with its interval, the naive figure in grey."""

from typing import Any

import altair as alt

from services.reporting.pages.words import Words
from services.reporting.rules.tables import STATE, Table
from services.runtime.web.languages import N_

MOST_PANELS = 4
_COMPARED = N_("Compared with students not yet visited")
_ACCENT, _BAND, _GREY, _INK = "#0b5f63", "#9cc7c5", "#6d747a", "#1d2226"


def of_effect(table: Table, words: Words, width: int) -> alt.Chart | alt.LayerChart | alt.FacetChart:
    """Draw a panel per place or band; with many places, the state's alone. Hidden months have no point."""
    places = list(dict.fromkeys(line.keys[0] for line in table.lines))
    if len(places) > MOST_PANELS and STATE in places:
        places = [STATE]
    rows = [row for row in _rows(table, words) if row["place"] in places]
    lines = [words.say(_COMPARED), words.title("naive")]

    base = alt.Chart(alt.Data(values=rows)).encode(  # type: ignore[no-untyped-call]
        x=alt.X("month:O", title=words.heading("months_since"), axis=alt.Axis(labelAngle=0)),
    )
    interval = (
        base.mark_area(color=_BAND, opacity=0.6)
        .encode(
            y=alt.Y("low:Q", title=words.say(N_("Points of days attended")), axis=alt.Axis(tickCount=5)), y2="high:Q"
        )
        .transform_filter("isValid(datum.low)")  # the naive figure has no interval, and would tear the band apart
    )
    colours = alt.Scale(domain=lines, range=[_ACCENT, _GREY])
    drawn = base.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=45)).encode(
        y=alt.Y("value:Q"),
        color=alt.Color("line:N", scale=colours, legend=alt.Legend(columns=1, labelLimit=width)),
        strokeDash=alt.StrokeDash("line:N", scale=alt.Scale(domain=lines, range=[[1, 0], [5, 4]]), legend=None),
    )
    zero = base.mark_rule(color=_INK, strokeWidth=1).encode(y=alt.datum(0))
    narrow = width < 2 * 300 or len(places) == 1
    panel = alt.layer(interval, zero, drawn).properties(
        width=width - 70 if narrow else (width - 110) // 2, height=220 if len(places) == 1 else 150
    )
    if len(places) == 1:
        return panel
    named = [words.label(table.kind.keys[0], place) for place in places]
    faceted: alt.FacetChart = panel.facet(
        facet=alt.Facet("named:N", sort=named, title=None, header=alt.Header(labelFontSize=13, labelColor=_INK)),
        columns=1 if narrow else 2,
    )
    return faceted


def _rows(table: Table, words: Words) -> list[dict[str, Any]]:
    at = {measure: table.kind.measures.index(measure) for measure in table.kind.measures}
    rows: list[dict[str, Any]] = []
    for line in table.lines:
        where = {
            "place": line.keys[0],
            "named": words.label(table.kind.keys[0], line.keys[0]),
            "month": int(line.keys[1]),
        }
        if (effect := line.numbers[at["effect"]]) is not None:
            interval = {"low": line.numbers[at["effect_low"]], "high": line.numbers[at["effect_high"]]}
            rows.append({**where, **interval, "value": effect, "line": words.say(_COMPARED)})
        if (naive := line.numbers[at["naive"]]) is not None:
            rows.append({**where, "value": naive, "line": words.title("naive")})
    return rows
