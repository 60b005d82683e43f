"""What a page shows of a table: words and formatted numbers, the chart's address, where to download it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from services.reporting.pages import charts
from services.reporting.pages.words import Words
from services.reporting.rules.measures import MEASURES, OF_MONTHS
from services.reporting.rules.policies import STANDARD
from services.reporting.rules.tables import STATE, Line, Table
from services.runtime.web.languages import N_


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number as it is written."""

    heading: str
    text: str
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line as it is written; `address` leads on to what it is about; `total` is the state's line."""

    labels: tuple[str, ...]
    numbers: tuple[Number, ...]
    address: str | None
    total: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table with its chart, if it has one."""

    name: str
    title: str
    headings: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    definitions: tuple[tuple[str, str], ...]
    chart: str | None
    described: str
    csv: str
    json: str
    has_hidden: bool
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page's tables are: the path of its charts, of its downloads, and the parameters both take."""

    charts: str
    downloads: str
    parameters: Mapping[str, str]
    schools: str | None = None

    def chart(self, table: Table, words: Words) -> str:
        """Address a chart. As-of time and language are part of it: another of either is another picture."""
        moment = table.as_of.isoformat() if table.as_of else ""
        return f"{self.charts}/{table.name}.svg?" + urlencode(
            {**self.parameters, "language": words.language.code, "as_of": moment}
        )

    def download(self, table: Table, form: str) -> str:
        """Address the table's file, `.csv` or nothing for JSON."""
        return f"{self.downloads}/{table.name}{form}" + (f"?{urlencode(self.parameters)}" if self.parameters else "")


def section(table: Table, words: Words, place: Place, *, without_keys: Iterable[str] = ()) -> Section:
    """Write the table out without the columns that say the same in every line, and `without_keys`."""
    kind = table.kind
    same = {key for at, key in enumerate(kind.keys[:-1]) if len({line.keys[at] for line in table.lines}) == 1}
    keys = [key for key in kind.keys if key not in same and key not in without_keys]
    measures = [
        name for name in kind.measures if any(number is not None or hidden for _, number, hidden in table.column(name))
    ]
    defined = {words.title(name): words.say(MEASURES[name].definition) for name in measures}
    return Section(
        name=table.name,
        title=words.say(kind.title),
        headings=tuple(words.heading(key) for key in keys),
        measures=tuple(words.title(name) for name in measures),
        rows=tuple(_row(table, line, keys, measures, words, place) for line in table.lines),
        definitions=tuple(defined.items()),
        chart=place.chart(table, words) if charts.has_chart(table) else None,
        described=charts.described(table, words),
        csv=place.download(table, ".csv"),
        json=place.download(table, ""),
        has_hidden=any(line.hidden for line in table.lines),
        as_of=up_to(table, words),
    )


def _row(table: Table, line: Line, keys: list[str], measures: list[str], words: Words, place: Place) -> Row:
    code_by_key = dict(zip(table.kind.keys, line.keys, strict=True))
    to_school = place.schools if "school" in code_by_key else None
    return Row(
        labels=tuple(words.label(key, code_by_key[key]) for key in keys),
        numbers=tuple(
            Number(
                heading=words.title(measure),
                text=words.number(number, measure, hidden=measure in line.hidden),
                hidden=measure in line.hidden,
            )
            for measure, number in zip(table.kind.measures, line.numbers, strict=True)
            if measure in measures
        ),
        address=f"{to_school}/{quote(code_by_key['school'], safe='')}" if to_school else None,
        total=STATE in line.keys and any(STATE not in each.keys for each in table.lines),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One large number at the top of a page."""

    title: str
    text: str
    definition: str
    as_of: str


def up_to(table: Table | None, words: Words) -> str:
    """Say up to which day a table counts and by which policy, where that is not what the page says of all."""
    if table is None or table.name not in OF_MONTHS or table.cut_off is not None or table.as_of is None:
        return ""
    day, policy = words.day(table.as_of), table.policy
    if policy == STANDARD:
        return words.say(N_("Up to %(day)s: months that have closed."), day=day)
    return words.say(
        N_("Up to %(day)s: months that have closed. By the district's own policy, version %(version)s: from %(days)s "
           "days enrolled on. Published numbers use the standard policy."),
        day=day, version=policy.version, days=policy.minimum_enrolled,
    )  # fmt: skip


def figure(tables: Mapping[str, Table], name: str, measure: str, words: Words, *, of: str | None = None) -> Figure:
    """Write one number large: the first line's, or that of the line whose first key is `of`."""
    text = words.number(None, measure)
    table = tables.get(name)
    for line in table.lines if table is not None else ():
        if of is None or line.keys[0] == of:
            at = line_at(table, measure)
            text = words.number(line.numbers[at], measure, hidden=measure in line.hidden)
            break
    definition = words.say(MEASURES[measure].definition)
    return Figure(title=words.title(measure), text=text, definition=definition, as_of=up_to(table, words))


def line_at(table: Table | None, measure: str) -> int:
    """Find the measure's place in a line."""
    assert table is not None
    return table.kind.measures.index(measure)
