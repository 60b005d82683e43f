"""The boards without Grafana: the same queries, drawn from Prometheus into one page of charts.

`python -m deploy.observability.charts http://127.0.0.1:9090 boards.html --minutes 60 --district hartford`
"""

import argparse
import html
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import altair
import vl_convert

from deploy.observability.boards import BOARDS
from deploy.observability.panel import DISTRICT, Board, Panel, Query, Unit

POINTS = 240
WIDTH, HEIGHT = 520, 170
NOTHING = "none"
MOST_SERIES = 10
"""More than these can't be told apart: the page shows those with the largest last value and says so."""

# Told apart also by those who see no difference between red and green (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F", "#6A3D9A", "#7F7F7F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What a query answered: a name and its (time in seconds, value) points, the last one newest."""

    name: str
    points: tuple[tuple[float, float], ...]


class Answers:
    """Asks Prometheus, over the last minutes, for one district."""

    def __init__(self, prometheus: str, *, minutes: float, district: str, now: float | None = None) -> None:
        self._address = prometheus.rstrip("/")
        self._end = time.time() if now is None else now
        self._start = self._end - 60 * minutes
        self._step = max(1.0, 60 * minutes / POINTS)
        self._district = district

    @property
    def window(self) -> tuple[float, float]:
        """Give the first and the last moment asked about, in seconds."""
        return self._start, self._end

    def over_time(self, query: Query) -> list[Series]:
        """Give the query's series, points that are not numbers left out."""
        answer = self._get(
            "query_range",
            query=query.expr.replace(DISTRICT, self._district),
            start=self._start,
            end=self._end,
            step=self._step,
        )
        series = [Series(name=_named(query.legend, each["metric"]), points=_numbers(each["values"])) for each in answer]
        return [each for each in series if each.points]

    def at_the_end(self, query: Query) -> list[Series]:
        """Give the query's series with their last value only."""
        answer = self._get("query", query=query.expr.replace(DISTRICT, self._district), time=self._end)
        series = [
            Series(name=_named(query.legend, each["metric"]), points=_numbers([each["value"]])) for each in answer
        ]
        return [each for each in series if each.points]

    def of(self, panel: Panel) -> list[Series]:
        """Give everything a panel shows."""
        ask = self.over_time if panel.kind == "lines" else self.at_the_end
        answered = [series for query in panel.queries for series in ask(query)]
        # The 0 of "or vector(0)" stands for nothing: beside something it only confuses.
        return [each for each in answered if each.name != NOTHING] or answered

    def _get(self, what: str, **asked: object) -> list[Any]:
        with build_opener(ProxyHandler({})).open(
            f"{self._address}/api/v1/{what}?{urlencode(asked)}", timeout=30
        ) as got:
            result: list[Any] = json.load(got)["data"]["result"]
        return result


def page(answers: Answers, *, about: str) -> str:
    """Draw every panel of every board into one page that needs nothing else."""
    sections = "\n".join(_section(board, answers) for board in BOARDS)
    return _PAGE.replace("ABOUT", html.escape(about)).replace("SECTIONS", sections)


def _section(board: Board, answers: Answers) -> str:
    figures = "\n".join(_figure(panel, answers.of(panel), answers.window) for panel in board.panels)
    return (
        f'<section><h2>{html.escape(board.title)}</h2><p class="purpose">{html.escape(board.purpose)}</p>'
        f'<div class="panels">{figures}</div></section>'
    )


def _figure(panel: Panel, series: list[Series], window: tuple[float, float]) -> str:
    if not series:
        drawn = '<p class="none">nothing yet</p>'
    elif panel.kind == "number":
        drawn = "".join(_number(panel, each) for each in series)
        drawn = f'<p class="numbers">{drawn}</p>'
    else:
        drawn = _drawn(panel, series, window)
    return (
        f'<figure><figcaption>{html.escape(panel.question)}</figcaption>{drawn}<p class="reading">'
        f"{html.escape(panel.reading)}</p></figure>"
    )


def _number(panel: Panel, series: Series) -> str:
    value = series.points[-1][1]
    ill = (panel.well_below is not None and value >= panel.well_below) or (
        panel.well_above is not None and value < panel.well_above
    )
    mark = ' class="ill"' if ill else ""
    # Not by colour alone.
    return f"<span{mark}><b>{told(value, panel.unit)}{' !' if ill else ''}</b> {html.escape(series.name)}</span>"


def _drawn(panel: Panel, series: list[Series], window: tuple[float, float]) -> str:
    shown = sorted(series, key=lambda each: each.points[-1][1], reverse=True)[:MOST_SERIES]
    chart = _lines(panel, shown, window) if panel.kind == "lines" else _bars(panel, shown)
    drawn: str = vl_convert.vegalite_to_svg(chart.configure_view(stroke=None).configure(font="sans-serif").to_json())
    left_out = len(series) - len(shown)
    return drawn + (f'<p class="reading">{left_out} more, none larger, are not drawn.</p>' if left_out else "")


def _lines(panel: Panel, series: list[Series], window: tuple[float, float]) -> Any:
    rows = [
        {"at": round(moment * 1000), "value": value, "of": each.name}
        for each in series
        for moment, value in each.points
    ]
    names = [each.name for each in series]
    top = max(value for each in series for _, value in each.points)
    least = min(0.0, *(value for each in series for _, value in each.points))
    lonely = any(len(each.points) == 1 for each in series)  # a line of one point can't be seen
    return (
        altair.Chart(_values(rows), width=WIDTH, height=HEIGHT)
        .mark_line(strokeWidth=2, interpolate="step-after", point=lonely)
        .encode(
            x=altair.X(
                "at:T",
                title=None,
                scale=altair.Scale(domain=[round(1000 * moment) for moment in window]),
                axis=altair.Axis(format="%H:%M", grid=False, tickCount=6),
            ),
            y=altair.Y(
                "value:Q",
                title=_AXES[panel.unit],
                scale=altair.Scale(domain=[least, 1.1 * top if top > 0 else 1], nice=False),
                axis=altair.Axis(labelExpr=_LABELS[panel.unit], tickCount=5),
            ),
            color=altair.Color(
                "of:N",
                title=None,
                scale=altair.Scale(domain=names, range=list(COLOURS[: len(names)])),
                legend=altair.Legend(orient="bottom", columns=3, labelLimit=240, symbolType="stroke"),
            ),
        )
    )


def _values(rows: list[dict[str, Any]]) -> altair.Data:
    made: altair.Data = altair.Data(values=rows)  # type: ignore[no-untyped-call]
    return made


def _bars(panel: Panel, series: list[Series]) -> Any:
    rows = [
        {"value": each.points[-1][1], "of": each.name, "told": told(each.points[-1][1], panel.unit)} for each in series
    ]
    bars = altair.Chart(_values(rows), width=WIDTH - 90, height=max(60, 22 * len(rows))).encode(
        x=altair.X(
            "value:Q",
            title=_AXES[panel.unit],
            scale=altair.Scale(domainMin=0, domainMax=1.15 * max(1.0, series[0].points[-1][1])),
            axis=None,
        ),
        y=altair.Y("of:N", title=None, sort="-x", axis=altair.Axis(labelLimit=220, ticks=False)),
    )
    # The value beside the bar: nobody has to measure.
    return bars.mark_bar(color=COLOURS[0], height=12) + bars.mark_text(align="left", dx=4).encode(text="told:N")


_AXES: dict[Unit, str] = {
    "short": "",
    "s": "seconds",
    "percentunit": "share",
    "reqps": "requests / s",
    "bytes": "bytes",
    "cps": "records / s",
}
# Whole and small numbers as they are, large ones as 5k or 170M.
_PLAIN = "abs(datum.value) < 1000 ? format(datum.value, ',.3~r') : format(datum.value, '.3~s')"
_SHARE = "format(datum.value, '.2~%')"
_LABELS: dict[Unit, str] = dict.fromkeys(_AXES, _PLAIN) | {"percentunit": _SHARE}


def told(value: float, unit: Unit) -> str:
    """Write a value with its unit, short enough to be read from across a room."""
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s":
        for size, letter in ((86400, "d"), (3600, "h"), (60, "min")):
            if value >= 2 * size:
                return f"{value / size:.0f} {letter}"
        return f"{value:.1f} s"
    if unit == "bytes":
        return f"{value / 1024**2:,.0f} MB"
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2g}"


def _named(legend: str, labels: dict[str, str]) -> str:
    name = legend
    for label, value in labels.items():
        name = name.replace("{{" + label + "}}", value)
    # A label the answer does not have (the 0 of "or vector(0)") leaves no name.
    while "{{" in name:
        before, _, rest = name.partition("{{")
        name = before + rest.partition("}}")[2]
    return " ".join(name.split()) or NOTHING


def _numbers(points: list[list[Any]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(moment), float(value)) for moment, value in points if math.isfinite(float(value)))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>LEAP boards</title>
<style>
body { font: 15px/1.45 sans-serif; margin: 1.5rem auto; max-width: 1240px; padding: 0 1rem; color: #1b1f23; }
h1 { margin: 0; } h2 { margin: 2.2rem 0 0; border-bottom: 1px solid #ccd; }
.note, .purpose, .reading { color: #4a5560; } .note, .purpose { margin: .2rem 0 .8rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(580px, 1fr)); gap: 1rem; }
figure { margin: 0; padding: .8rem 1rem; border: 1px solid #dde; border-radius: 6px; overflow: hidden; }
figcaption { font-weight: 600; margin-bottom: .4rem; } .reading { font-size: .85em; margin: .4rem 0 0; }
figure svg { max-width: 100%; height: auto; overflow: visible; } /* fonts differ: a label may be wider */
.numbers { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .4rem 0; } .numbers b { font-size: 1.9em; }
.ill { color: #a40000; } .none { color: #4a5560; }
@media (max-width: 640px) { .panels { grid-template-columns: 1fr; } }
</style></head><body>
<h1>LEAP boards</h1>
<p class="note">Drawn without Grafana, by the same queries, from Prometheus. ABOUT</p>
SECTIONS
</body></html>
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prometheus", help="its address")
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--district", default="hartford")
    given = parser.parse_args()
    answers = Answers(given.prometheus, minutes=given.minutes, district=given.district)
    until = time.strftime("%Y-%m-%d %H:%M %Z")
    about = f"The last {given.minutes:g} minutes until {until}; one district: {given.district}."
    given.file.write_text(page(answers, about=about), encoding="utf-8")


if __name__ == "__main__":
    main()
