"""What must hold of the tree's shape, each as a function of a folder or a table, so that it can be given a fault."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from contracts.events import Event
from contracts.services import SERVICES
from contracts.topics import Topic

ROOT = Path(__file__).parents[2]

# A file imports only what is to its right: app > api, pages > commands > handlers, reports > metrics > store > rules.
_RANK = {
    "app": 6,
    "api": 5,
    "pages": 5,
    "commands": 4,
    "handlers": 3,
    "reports": 3,
    "metrics": 2,
    "store": 1,
    "rules": 0,
}
# What `services/<name>/rules/` may stand on, and no more: a rule asks nobody, neither the clock nor chance.
_RULES_STAND_ON = {"contracts", "pydantic", "pydantic_core", "msgspec", "numpy"} | {
    "array", "bisect", "collections", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib",
    "heapq", "hmac", "itertools", "json", "math", "numbers", "operator", "random", "re", "statistics", "string",
    "struct", "types", "typing", "unicodedata", "uuid", "zoneinfo",
}  # fmt: skip
_NO_CONTRACT_OF_A_RULE = {"contracts.compatibility", "contracts.generate", "contracts.released"}
_ASKED_OF_THE_WORLD = {
    "open", "input", "print", "exec", "eval", "__import__", "breakpoint", "now", "today", "utcnow", "uuid1", "uuid4",
    "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "save", "savetxt", "getrandbits", "randrange", "shuffle",
}  # fmt: skip

PERSONAL_FIELDS = {
    "address", "contact_name", "date_of_birth", "email", "family_name", "given_name", "note", "notes", "original",
    "phone", "phones",
}  # fmt: skip
MAY_READ_PERSONAL_DATA = {"scheduling", "visitlog"}

_PAYLOADS = {
    "body", "content", "contact", "event", "headers", "key", "message", "original", "payload", "raw", "record", "row",
    "student", "value",
} | PERSONAL_FIELDS  # fmt: skip
_LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "msg"}


def imported_by(path: Path) -> set[str]:
    """Name every module that a file imports, anywhere in it, as it is written there."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def reaches(imported: Iterable[str], module: str) -> bool:
    """Say whether any of the imported names is `module` or lies inside it."""
    return any(name == module or name.startswith(module + ".") for name in imported)


def python_files(folder: Path) -> list[Path]:
    """List the folder's own Python files."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def services_that_know_each_other(root: Path) -> list[str]:
    """Name each file of a service that imports another service."""
    return [
        f"{path.relative_to(root)}: imports services.{other}"
        for service in SERVICES
        for path in python_files(root / "services" / service)
        for other in SERVICES
        if other != service and reaches(imported_by(path), f"services.{other}")
    ]


def relative_imports(root: Path) -> list[str]:
    """Name each file that hides behind a relative import which room it reaches into."""
    return [
        f"{path.relative_to(root)}: imports {name}"
        for folder in ("contracts", "services")
        for path in python_files(root / folder)
        for name in sorted(imported_by(path))
        if name.startswith(".")
    ]


def wrong_directions(root: Path) -> list[str]:
    """Name each import inside a service that points the wrong way: store to handlers, handlers to api."""
    found = []
    for service in SERVICES:
        folder = root / "services" / service
        for path in python_files(folder):
            own = path.relative_to(folder).parts[0].removesuffix(".py")
            imported = imported_by(path)
            found += [
                f"{path.relative_to(root)}: imports {layer}"
                for layer, rank in _RANK.items()
                if layer != own and rank > _RANK.get(own, 0) and reaches(imported, f"services.{service}.{layer}")
            ]
    return found


def rules_that_do_more(root: Path) -> list[str]:
    """Name each import of a rule that is neither another rule of its service nor something without input or output.

    And each call that asks the world, the clock or chance: whatever a rule needs of them it is told. A `random.Random`
    made from a seed is told; what is called on a variable is not looked at.
    """
    found = []
    for service in SERVICES:
        for path in python_files(root / "services" / service / "rules"):
            place = path.relative_to(root)
            for name in sorted(imported_by(path)):
                own = reaches([name], f"services.{service}.rules")
                calm = name.split(".")[0] in _RULES_STAND_ON and not reaches([name], "contracts.released")
                if not own and (not calm or name in _NO_CONTRACT_OF_A_RULE):
                    found.append(f"{place}: a rule imports {name}")
            found += [f"{place}: a rule asks {asked}" for asked in sorted(_asked_by(path))]
    return found


def _asked_by(path: Path) -> set[str]:
    asked = set()
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call):
            spelt = ast.unparse(call.func)
            # A plain name, or one asked of a module or class by its own name: `date.today`, `np.load`.
            of_a_module = re.fullmatch(r"(?:datetime|date|np|numpy|random|uuid|builtins)(?:\.\w+)*\.(\w+)", spelt)
            name = of_a_module.group(1) if of_a_module else spelt
            chance = bool(of_a_module) and spelt.startswith("random.") and name != "Random"
            if name in _ASKED_OF_THE_WORLD or chance:
                asked.add(spelt)
    return asked


def runtime_that_knows_the_domain(root: Path) -> list[str]:
    """Name each import and each word by which the runtime would know what it is used for."""
    words = re.compile(r"student|school|attendance|district|household|absen(t|ce)|visit|enrol|pupil", re.IGNORECASE)
    found = []
    folder = root / "services" / "runtime"
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".sql", ".html"}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found += [f"{path.relative_to(root)}:{number}: says {word.group()!r}" for word in words.finditer(line)]
        if path.suffix == ".py":
            forbidden = ["contracts", "deploy", *(f"services.{service}" for service in SERVICES)]
            found += [f"{path.relative_to(root)}: imports {m}" for m in forbidden if reaches(imported_by(path), m)]
    return found


def contracts_that_need_more_than_pydantic(root: Path) -> list[str]:
    """Name each import of the contracts that is neither the standard library nor pydantic.

    The compatibility check runs where code is written, never in a service, and may use jsonschema.
    """
    found = []
    for path in python_files(root / "contracts"):
        allowed = {"contracts", "pydantic"} | ({"jsonschema"} if path.name == "compatibility.py" else set())
        for name in sorted(imported_by(path)):
            top = name.split(".")[0]
            if top not in allowed and top not in sys.stdlib_module_names:
                found.append(f"{path.relative_to(root)}: imports {name}")
    return found


def personal_fields(event: type[Event]) -> set[str]:
    """Name the fields of an event, at any depth, that can tell who somebody is."""
    schema = event.model_json_schema()
    described = [schema, *schema.get("$defs", {}).values()]
    return {name for part in described for name in part.get("properties", {}) if name in PERSONAL_FIELDS}


def exposed_personal_data(topics: Iterable[Topic]) -> list[str]:
    """Name each way in which a name, an address or a phone could reach somebody who need not have it."""
    found = []
    for topic in topics:
        for event in topic.events:
            named = sorted(personal_fields(event))
            if named and not topic.personal_data:
                found.append(f"{topic.name}: {event.EVENT_TYPE} carries {', '.join(named)}")
        if topic.personal_data:
            readers = sorted(set(topic.consumers) - MAY_READ_PERSONAL_DATA)
            found += [f"{topic.name}: {reader} may not read personal data" for reader in readers]
    return found


def talkative(path: Path) -> list[str]:
    """Name each line that prints, or that logs more than a constant sentence with harmless fields."""
    found = []
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call):
            found += [f"{path.name}:{call.lineno}: {complaint}" for complaint in _complaints(call)]
    return found


def _complaints(call: ast.Call) -> Iterator[str]:
    if isinstance(call.func, ast.Name) and call.func.id in {"print", "pprint"}:
        yield "prints"
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _LEVELS:
        return
    if not re.search(r"log|logger", ast.unparse(call.func.value)):
        return
    # A traceback ends in the exception's message, and a database puts the offending values there.
    if call.func.attr == "exception":
        yield "logs a traceback"
    if not call.args or not isinstance(call.args[0], ast.Constant):
        yield "the sentence is not constant"
    if len(call.args) > 1:
        yield "puts values into the sentence"
    for keyword in call.keywords:
        if keyword.arg in _PAYLOADS:
            yield f"logs {keyword.arg}"
        if keyword.arg == "exc_info":
            yield "logs a traceback"
        for part in ast.walk(keyword.value):
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            if name in _PAYLOADS - {"key", "address", "message", "event"}:
                yield f"logs something of {name}"


def names_of_the_tree(root: Path) -> list[str]:
    """Name every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.decode().split("\0") if name]


def read_texts(root: Path, names: Iterable[str]) -> list[tuple[str, str]]:
    """Read those of the files that are text, each with its name."""
    texts = []
    for name in names:
        path = root / name
        if path.is_file():
            try:
                texts.append((name, path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return texts


def texts_of_the_tree(root: Path) -> list[tuple[str, str]]:
    """Read every text file that git knows or would add."""
    return read_texts(root, names_of_the_tree(root))


# Split, so that this file does not name what it looks for.
_REGISTRIES = (
    "pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.(org|com)", r"repo1?\." + "maven", "maven-" + "central",
    "docker" + r"\.io", "ghcr" + r"\.io", "quay" + r"\.io", "crates" + r"\.io", "proxy\\." + "golang",
    "arti" + "factory", r"nexus\.", "jit" + "pack", "index" + "-url[= ]+http", "registry" + r"\.[a-z0-9-]+\.[a-z]",
)  # fmt: skip
_FOREIGN = re.compile("|".join(_REGISTRIES), re.IGNORECASE)


def foreign_words(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Name each line that says where packages come from: that is the machine's setting, not the tree's."""
    return [
        f"{name}:{number}: names {word.group()}"
        for name, text in texts
        for number, line in enumerate(text.splitlines(), start=1)
        for word in [_FOREIGN.search(line)]
        if word
    ]


def long_files(root: Path, *, lines: int = 400) -> list[str]:
    """Name each Python file that has outgrown one sitting."""
    return [
        f"{path.relative_to(root)}: {count} lines"
        for folder in ("contracts", "services", "deploy", "tests")
        for path in python_files(root / folder)
        for count in [len(path.read_text(encoding="utf-8").splitlines())]
        if count > lines
    ]


def crowded_functions(root: Path, *, most: int = 7) -> list[str]:
    """Name each function that asks for more at once than a reader holds: what belongs together travels as one value."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: {node.name} has {count} parameters"
        for folder in ("contracts", "services", "deploy")
        for path in python_files(root / folder)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for count in [_parameters(node.args)]
        if count > most
    ]


def _parameters(arguments: ast.arguments) -> int:
    named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    further = (arguments.vararg, arguments.kwarg)
    return sum(each.arg not in ("self", "cls") for each in named) + sum(each is not None for each in further)
