"""What a change to a published schema means for events already written and for readers already running."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Verdict(StrEnum):
    """`unknown` is as final as `breaking`: what can't be judged isn't let through."""

    BENIGN = "benign"
    BREAKING = "breaking"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One change, where it is, and what it does to old events or old readers."""

    where: str
    verdict: Verdict
    what: str

    def __str__(self) -> str:
        """Write the change as one line of a report."""
        return f"{self.verdict}: {self.where}: {self.what}"


_ANNOTATIONS = {"title", "description", "examples", "deprecated", "$comment", "$schema", "$id"}
_LIMITS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "uniqueItems", "format", "const",
}  # fmt: skip
_STRUCTURE = {"type", "enum", "properties", "required", "items", "prefixItems", "anyOf", "default"}


def differences(*, old: Json, new: Json) -> list[Difference]:
    """Classify every change from schema `old` to schema `new` of the same event type.

    Both directions count: today's readers read events of years ago, and yesterday's readers run while today's
    writers already publish. So a limit neither loosens nor tightens, and a closed list neither grows nor shrinks.
    """
    return list(_compare(_resolved(old, old), _resolved(new, new), where=""))


def breaking(found: list[Difference]) -> list[Difference]:
    """Keep what may not be merged unless it comes as a new version beside the old one."""
    return [difference for difference in found if difference.verdict is not Verdict.BENIGN]


def _resolved(node: Any, root: Json, seen: tuple[str, ...] = ()) -> Any:
    """References written out, so that moving or renaming a definition is no difference."""
    if isinstance(node, list):
        return [_resolved(child, root, seen) for child in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/") and reference not in seen:
        target = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        if target is not None:
            beside = {name: child for name, child in node.items() if name != "$ref"}
            return _resolved({**target, **beside}, root, (*seen, reference))
    return {name: _resolved(child, root, seen) for name, child in node.items() if name != "$defs"}


def _compare(old: Any, new: Any, *, where: str) -> Iterator[Difference]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            here = where or "the event"
            yield Difference(where=here, verdict=Verdict.UNKNOWN, what="a schema that is not an object changed")
        return
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) or (name in old) != (name in new):
            yield from _judge(name, old, new, where)


def _judge(name: str, old: Json, new: Json, where: str) -> Iterator[Difference]:
    here = where or "the event"
    match name:
        case _ if name in _ANNOTATIONS:
            yield Difference(where=here, verdict=Verdict.BENIGN, what=f"{name} reads differently")
        case _ if name in _LIMITS:
            yield _broken(here, f"{name} was {_text(old, name)}, is {_text(new, name)}")
        case "type" | "default":
            yield _broken(here, f"{name} was {_text(old, name)}, is {_text(new, name)}")
        case "enum" if name in old and name in new:
            yield from _enum(old, new, here)
        case "properties":
            yield from _properties(old, new, where)
        case "required":
            yield from _required(old, new, where)
        case "items" if name in old and name in new:
            yield from _compare(old[name], new[name], where=f"{where}[]")
        case "anyOf" | "prefixItems" if len(old.get(name, ())) == len(new.get(name, ())):
            for position, (before, after) in enumerate(zip(old[name], new[name], strict=True)):
                yield from _compare(before, after, where=f"{where}<{position}>")
        case _ if name in _STRUCTURE:
            yield _broken(here, f"{name} has another shape")
        case _:
            yield Difference(where=here, verdict=Verdict.UNKNOWN, what=f"no rule judges a change of {name!r}")


def _enum(old: Json, new: Json, here: str) -> Iterator[Difference]:
    before, after = set(old["enum"]), set(new["enum"])
    if before == after:
        yield Difference(where=here, verdict=Verdict.BENIGN, what="the closed list is in another order")
    for value in sorted(after - before, key=str):
        yield _broken(here, f"running readers refuse the new value {value!r}")
    for value in sorted(before - after, key=str):
        yield _broken(here, f"old events carry {value!r}, which is refused now")


def _properties(old: Json, new: Json, where: str) -> Iterator[Difference]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted(before.keys() | after.keys()):
        field = f"{where}.{name}" if where else name
        if name not in after:
            yield _broken(field, "running readers still look for it")
        elif name in before:
            yield from _compare(before[name], after[name], where=field)
        elif old.get("additionalProperties") is False:
            yield _broken(field, "running readers refuse fields they don't know")
        elif name not in new.get("required", ()):
            yield Difference(where=field, verdict=Verdict.BENIGN, what="a new field that may be missing")


def _required(old: Json, new: Json, where: str) -> Iterator[Difference]:
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(after - before):
        yield _broken(f"{where}.{name}" if where else name, "required now, and old events may lack it")
    for name in sorted((before - after) & new.get("properties", {}).keys()):
        yield _broken(f"{where}.{name}" if where else name, "may be missing now, and running readers require it")
    if before == after:
        yield Difference(where=where or "the event", verdict=Verdict.BENIGN, what="required fields in another order")


def _broken(where: str, what: str) -> Difference:
    return Difference(where=where, verdict=Verdict.BREAKING, what=what)


def _text(node: Json, name: str) -> str:
    return repr(node[name]) if name in node else "absent"
