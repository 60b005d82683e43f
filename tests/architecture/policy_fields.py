"""Which fields of a district's policy somebody acts by: one that is only kept and shown is a setting that lies."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.architecture.checks import python_files

# `policy.tries`, `policy_by_district[each].tries`, `policy.absence.early_days`: whose field it is.
_A_POLICY = re.compile(r"polic|weights|^absence$|^desk$", re.IGNORECASE)
# Statements that read a field of what is stored, or the day from which a policy is in force.
_IN_SQL = (re.compile(r"policy ->> '(\w+)'"), re.compile(r"policy WHERE .{0,90}?\b(effective_from) <= "))
DECLARED = "contracts/events/districts.py"


class PolicyField(NamedTuple):
    """One field of the district's policy, and the class that declares it."""

    policy: str
    name: str

    def __str__(self) -> str:
        """Name it as a complaint does."""
        return f"{self.policy}.{self.name}"


def policy_fields(root: Path) -> list[PolicyField]:
    """List the fields of the district's policy, of its parts, and of the classes that they consist of.

    All but the parts themselves, and the version: that one names a decision and decides nothing.
    """
    module = ast.parse((root / DECLARED).read_text(encoding="utf-8"))
    return [
        PolicyField(declared.name, field)
        for declared in _policies(module)
        for field, annotation in _annotations(declared).items()
        if field != "version" and not (isinstance(annotation, ast.Name) and annotation.id.endswith("Policy"))
    ]


def fields_nobody_reads(root: Path) -> list[str]:
    """Name each policy field by which no service acts, outside of what declares, keeps and shows policies."""
    read = {name for service in (root / "services").iterdir() if service.is_dir() for name in _read_in(service)}
    return [str(field) for field in policy_fields(root) if field.name not in read]


def _policies(module: ast.Module) -> list[ast.ClassDef]:
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    policies = [node for name, node in classes.items() if name.endswith("Policy")]
    # A field whose type is a class of the same file holds further fields: `weights: Weights`.
    parts = [
        classes[annotation.id]
        for policy in policies
        for annotation in _annotations(policy).values()
        if isinstance(annotation, ast.Name) and annotation.id in classes
    ]
    return policies + [part for part in parts if part not in policies]


def _annotations(declared: ast.ClassDef) -> dict[str, ast.expr]:
    return {
        node.target.id: node.annotation
        for node in declared.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _read_in(service: Path) -> set[str]:
    python = {name for path in python_files(service) if not _keeps_policies(path) for name in _attributes(path)}
    stored = {
        name
        for path in python_files(service)
        if not _keeps_policies(path)
        for statement in _IN_SQL
        for name in statement.findall(" ".join(path.read_text(encoding="utf-8").split()))
    }
    shown = {
        name
        for path in service.rglob("*.html")
        if not _keeps_policies(path)
        for name in re.findall(r"\b(?:policy|weights)\.(\w+)", path.read_text(encoding="utf-8"))
    }
    return python | stored | shown


def _keeps_policies(path: Path) -> bool:
    """Tell the rooms that declare, keep, save and show policies from those that act by them."""
    return path.stem in ("policy", "policies")


def _attributes(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # {"min_enrolled_days": policy.min_enrolled_days} shows a field to somebody; nothing is decided by it.
    only_shown = {id(value) for node in ast.walk(tree) if isinstance(node, ast.Dict) for value in node.values}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load) or id(node) in only_shown:
            continue
        if _A_POLICY.search(_last_name(node.value)):
            yield node.attr


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return _last_name(node.value) if isinstance(node, ast.Subscript) else ""
