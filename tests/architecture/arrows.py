"""Who imports whom, a room being a file or a folder: `python -m tests.architecture.arrows [FOLDER ...]` prints it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.architecture.checks import ROOT, imported_by, python_files

Arrows = dict[str, set[str]]

HOUSES = ("contracts", "deploy", "services/*")


def arrows_of(root: Path, folder: str) -> Arrows:
    """Map each room of a folder to the rooms beside it that it imports, late imports counted too."""
    house = root / folder
    rooms = {path.relative_to(house).parts[0].removesuffix(".py") for path in python_files(house)} - {"__init__"}
    found: Arrows = {room: set() for room in sorted(rooms)}
    package = folder.replace("/", ".")
    for path in python_files(house):
        room = path.relative_to(house).parts[0].removesuffix(".py")
        for name in imported_by(path):
            inside = name.removeprefix(f"{package}.").split(".")[0] if name.startswith(f"{package}.") else ""
            if room in rooms and inside in rooms - {room}:
                found[room].add(inside)
    return found


def count(arrows: Arrows) -> int:
    """Count the arrows."""
    return sum(map(len, arrows.values()))


def circles(arrows: Arrows) -> list[list[str]]:
    """List the rooms that reach each other, group by group: an arrow that runs back up closes a circle."""
    reached = {room: set(_reached(arrows, room)) for room in arrows}
    groups = {
        tuple(sorted({room, *(o for o in arrows if o in reached[room] and room in reached[o])})) for room in arrows
    }
    return [list(group) for group in sorted(groups) if len(group) > 1]


def floors(arrows: Arrows) -> dict[str, int]:
    """Give each room the height of the longest way down from it. Raises ValueError where there is a circle."""
    if circles(arrows):
        raise ValueError(f"these import each other: {circles(arrows)}")

    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            heights[room] = 1 + max((height(below) for below in arrows[room]), default=-1)
        return heights[room]

    return {room: height(room) for room in arrows}


def _reached(arrows: Arrows, room: str) -> Iterator[str]:
    waiting, seen = list(arrows[room]), set[str]()
    while waiting:
        below = waiting.pop()
        if below not in seen:
            seen.add(below)
            yield below
            waiting += arrows[below]


def houses(root: Path, patterns: Sequence[str] = HOUSES) -> list[str]:
    """List the folders that hold Python of their own, by pattern."""
    found = [path for pattern in patterns for path in sorted(root.glob(pattern)) if (path / "__init__.py").exists()]
    return [str(path.relative_to(root)) for path in found]


def described(root: Path, folder: str) -> str:
    """Describe one folder: its figures, its circles, and each room with what it imports, the highest first."""
    arrows = arrows_of(root, folder)
    knots = circles(arrows)
    height = {} if knots else floors(arrows)
    lines = [f"{folder}: {len(arrows)} rooms, {count(arrows)} arrows, {1 + max(height.values(), default=-1)} floors"]
    lines += [f"  circle: {' <-> '.join(knot)}" for knot in knots]
    for room in sorted(arrows, key=lambda room: (-height.get(room, 0), room)):
        lines.append(f"  {room} > {', '.join(sorted(arrows[room])) or '-'}")
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n\n".join(described(ROOT, folder) for folder in sys.argv[1:] or houses(ROOT)))  # noqa: T201
