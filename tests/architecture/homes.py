"""What is decided in one place and nowhere else: where people live, what a date means, how a district's code is spelt.

Each is a function of a tree's root, so that it can be given a fault.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from zoneinfo import available_timezones

from tests.architecture.checks import python_files

_FOLDERS = ("contracts", "services", "deploy", "tests")
_TEXTS = {".py", ".sql", ".html", ".js", ".yaml", ".yml", ".json", ".toml", ".sh"}
_CALENDAR = "contracts/calendar.py"
_SQL_OF_DATES = re.compile(r"\bisodow\b|INTERVAL '6 month", re.IGNORECASE)

# The one default, the zones of the tests, and what two migrations said before it was a setting: these never change.
MAY_NAME_A_ZONE = {
    "services/runtime/settings.py": 1,
    "services/scheduling/migrations/0001_scheduling.sql": 1,
    "services/scheduling/migrations/0002_request_life.sql": 1,
    "tests/zones.py": 2,
}
# The code of a district, and in the runtime, which knows none, that of a scope.
_DISTRICT_CODE = "[a-z0-9][a-z0-9-]{0,47}"
# The second is a list of jars for us, whose names are ours.
MAY_WRITE_CSV = {"services/runtime/web/csv_file.py", "deploy/supply/jars.py"}
MAY_SPELL_A_DISTRICT = {"contracts/events/envelope.py", "services/runtime/web/people.py"}


def named_zones(root: Path) -> list[str]:
    """Name each file that says where people live, and each that would ask the machine where it stands."""
    zones = {name for name in available_timezones() if "/" in name}
    words = re.compile(r"\b[A-Z][A-Za-z]+(?:/[A-Z][A-Za-z_+-]+)+\b")
    found = []
    for path in _texts(root):
        named = [word for word in words.findall(path.read_text(encoding="utf-8")) if word in zones]
        if len(named) > MAY_NAME_A_ZONE.get(_name(path, root), 0):
            found.append(f"{_name(path, root)}: names {named[-1]}; the zone is a setting, and is passed")
    for path in _code(root, "contracts", "services", "deploy"):
        found += [f"{_name(path, root)}:{line}: asks the machine's own zone" for line in _zoneless(path)]
    return found


def dates_worked_out(root: Path) -> list[str]:
    """Name each line that works out a school year or a weekend by itself."""
    return [
        f"{_name(path, root)}:{line}: {what}; ask contracts.calendar"
        for path in _code(root, "contracts", "services", "deploy")
        if _name(path, root) != _CALENDAR
        for line, what in _worked_out(ast.parse(path.read_text(encoding="utf-8")))
    ]


def spelt_districts(root: Path) -> list[str]:
    """Name each file that spells the pattern of a district's code once more."""
    return [
        f"{_name(path, root)}: spells a district's code; contracts.events has DISTRICT_PATTERN"
        for path in _code(root, "contracts", "services", "deploy")
        if _name(path, root) not in MAY_SPELL_A_DISTRICT and _DISTRICT_CODE in path.read_text(encoding="utf-8")
    ]


def csv_writers(root: Path) -> list[str]:
    """Name each line that writes CSV by itself: a name in it might run as a formula where the file is opened."""
    return [
        f"{_name(path, root)}:{node.lineno}: writes CSV; ask services.runtime.web.csv_file"
        for path in _code(root, "contracts", "services", "deploy")
        if _name(path, root) not in MAY_WRITE_CSV
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr | ast.stmt) and _is_csv_writer(node)
    ]


def _is_csv_writer(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="csv"), attr="writer" | "DictWriter"):
            return True
        case ast.ImportFrom(module="csv", names=names):
            return any(alias.name in ("writer", "DictWriter") for alias in names)
        case ast.Constant(value=str(text)):
            return "WITH CSV" in text.upper() or "FORMAT CSV" in text.upper()
    return False


def _texts(root: Path) -> list[Path]:
    return [
        path
        for folder in _FOLDERS
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in _TEXTS and path.is_file() and not {"__pycache__", "released", "vendor"} & {*path.parts}
    ]


def _code(root: Path, *folders: str) -> Iterable[Path]:
    return [path for folder in folders for path in python_files(root / folder)]


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _zoneless(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node).endswith(".astimezone()"):
            yield node.lineno


def _worked_out(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            if _ends_with(node.left, ".month") and _is_number(node.comparators[0], {6, 7}):
                yield node.lineno, "works out a school year"
            if _ends_with(node.left, ".weekday()", ".isoweekday()") and _is_number(node.comparators[0], {4, 5}):
                yield node.lineno, "works out a weekend"
            if _ends_with(node.left, ".isoweekday()") and _is_number(node.comparators[0], {6}):
                yield node.lineno, "works out a weekend"
        elif isinstance(node, ast.Call) and _ends_with(node.func, "date") and _is_july_or_june(node.args):
            yield node.lineno, "works out where a school year begins or ends"
        elif isinstance(node, ast.Constant) and _SQL_OF_DATES.search(str(node.value)):
            yield node.lineno, "lets SQL work out a weekend or a school year"


def _is_july_or_june(arguments: list[ast.expr]) -> bool:
    if len(arguments) != 3 or isinstance(arguments[0], ast.Constant):
        return False
    return [ast.unparse(each) for each in arguments[1:]] in (["7", "1"], ["6", "30"])


def _ends_with(node: ast.expr, *ends: str) -> bool:
    return ast.unparse(node).endswith(ends)


def _is_number(node: ast.expr, numbers: set[int]) -> bool:
    return isinstance(node, ast.Constant) and node.value in numbers
