"""Parts that another process started, found again by what was written down of them."""

from pathlib import Path
from typing import Any

from deploy.local.containers import Container
from deploy.local.parts import Given, Part, Process


def part_from(described: dict[str, Any]) -> Part:
    """Find a part again that `describe` described; it need not be running."""
    fields = {key: value for key, value in described.items() if key != "kind"}
    if described["kind"] == "given":
        return Given(**fields)
    if described["kind"] == "container":
        return Container(**fields)
    return Process(**{**fields, "log": Path(fields["log"]), "folder": Path(fields["folder"])})
