"""How docstrings begin: with the verb, because a docstring completes "this function will" without saying so.

Whether a word is a verb can't be told from the word ("mark", "name", "roll"). What can be told is refused: the refrain
itself, the third person ("Returns"), and words that only a noun or a clause begins with ("The", "What", "Whether").
Modules, classes and properties say what they are; tests' builders and fixtures may.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.checks import python_files

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_REFRAIN = re.compile(r"(This|It|The)( \w+)? will\b|(This|The) (function|method|class|module)\b")
_THIRD_PERSON = re.compile(r"\w*[^suiSUI\W]s")  # Returns, Gives; not Address, Focus
_THIRD_PERSON_OF_ANY = {
    "Returns",
    "Gives",
    "Gets",
    "Sets",
    "Yields",
    "Raises",
    "Makes",
    "Builds",
    "Waits",
    "Does",
    "Is",
}
_NO_VERB = {
    "A", "All", "An", "Any", "Are", "At", "By", "Each", "Every", "For", "From", "How", "If", "In", "Is", "Its",
    "No", "Nobody", "On", "One", "Our", "That", "The", "These", "This", "Those", "To", "Two", "Was", "What", "When",
    "Where", "Whether", "Which", "While", "Who", "Whose", "Why", "With",
}  # fmt: skip


def not_verbs(root: Path) -> list[str]:
    """Name each docstring below contracts, services, deploy and tests that does not begin as it should."""
    return [
        f"{path.relative_to(root)}:{line}: {complaint}"
        for folder in ("contracts", "services", "deploy", "tests")
        for path in python_files(root / folder)
        for line, complaint in _of_file(path, strict=folder != "tests")
    ]


def _of_file(path: Path, *, strict: bool) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            complaint = _complaint(node, text, strict=strict)
            if complaint:
                yield getattr(node, "lineno", 1), complaint


def _complaint(node: Documented, text: str, *, strict: bool) -> str:
    first = (text.split() or [""])[0].rstrip(",.:;")
    if _REFRAIN.match(text):
        return "the refrain goes without saying"
    if isinstance(node, ast.Module | ast.ClassDef) or _is_property(node):
        return ""
    if first in _THIRD_PERSON_OF_ANY or (strict and not node.name.startswith("_") and _THIRD_PERSON.fullmatch(first)):
        return f"{first!r} is no imperative"
    if strict and not node.name.startswith("_") and first in _NO_VERB:
        return f"{first!r} begins no verb"
    return ""


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(each).endswith(("property", ".setter")) for each in node.decorator_list)
