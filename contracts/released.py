"""What was released: schemas, topics and migrations with their digests and bytes, in a list that only grows.

`released/list.sha256` is what `sha256sum --check` reads, a line for each entry in the order of release. The bytes lie
beside it, in the folder of the release that brought them: `0002/` holds what `0001/` did not have in this form.
`earlier/` holds what three migrations were before they were edited, for the sake of the databases that ran them.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.generate import FOLDER

EARLIER = "earlier"
_LIST = "list.sha256"
_LINE = re.compile(r"([0-9a-f]{64})  ((?:\d{4}/(?:schemas|topics|migrations)|earlier)/\S+)")
# Set for hooks, where they point at the commit being made: a copy or another worktree would be taken for this one.
_OF_A_HOOK = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}

Contents = Mapping[str, bytes]
"""Bytes by what they are: `schemas/x.v1.json`, `topics/x.json`, `migrations/<service>/0001_x.sql`."""


class NoHistory(Exception):
    """Nothing is known of earlier commits here; the message is git's reason."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One released form of one thing. `place` is where its bytes lie below `released/`."""

    place: str
    digest: str

    @property
    def release(self) -> str:
        """Say which release brought it: the place's first folder."""
        return self.place.split("/", 1)[0]

    @property
    def what(self) -> str:
        """Say what it is a form of, as `Contents` names it."""
        return self.place.split("/", 1)[1]


def channels(tree: Mapping[str, str]) -> dict[str, Any]:
    """Give every topic that AsyncAPI documents or released topics tell of, by its address."""
    told = {path: json.loads(text) for path, text in sorted(tree.items()) if path.startswith(("asyncapi/", "topics/"))}
    found: dict[str, Any] = {}
    for path, document in told.items():
        each = [document] if path.startswith("topics/") else document["channels"].values()
        found |= {channel["address"]: channel for channel in each}
    return found


def in_the_tree(folder: Path = FOLDER) -> dict[str, bytes]:
    """Read what could be released today: the committed schemas and topics, and the migrations of every service."""
    found = {f"schemas/{file.name}": file.read_bytes() for file in (folder / "schemas").glob("*.json")}
    documents = {f"asyncapi/{file.name}": file.read_text("utf-8") for file in (folder / "asyncapi").glob("*.json")}
    for address, channel in channels(documents).items():
        found[f"topics/{address}.json"] = (json.dumps(channel, indent=2, ensure_ascii=False) + "\n").encode()
    for file in (folder.parent / "services").glob("*/migrations/*.sql"):
        found[f"migrations/{file.parts[-3]}/{file.name}"] = file.read_bytes()
    return dict(sorted(found.items()))


def read_list(folder: Path = FOLDER) -> list[Entry]:
    """Read the list in its order, without lines that are none: `list_problems` names those."""
    file = folder / "released" / _LIST
    return _entries(file.read_text("utf-8") if file.exists() else "")


def _entries(text: str) -> list[Entry]:
    lines = filter(None, map(_LINE.fullmatch, text.splitlines()))
    return [Entry(place=line[2], digest=line[1]) for line in lines]


def bytes_of(entry: Entry, folder: Path = FOLDER) -> bytes:
    """Read what was released."""
    return (folder / "released" / entry.place).read_bytes()


def list_problems(folder: Path = FOLDER) -> list[str]:
    """Name everything in which the list disagrees with the bytes beside it or with itself."""
    home = folder / "released"
    if not (home / _LIST).exists():
        return [f"released/{_LIST}: missing, and nothing says any more what was released: restore it"]

    text, entries = (home / _LIST).read_text("utf-8"), read_list(folder)
    found = [f"released/{_LIST}: {line!r} is no entry" for line in text.splitlines() if not _LINE.fullmatch(line)]
    for entry in entries:
        file = home / entry.place
        if not file.is_file():
            found.append(f"released/{entry.place}: listed and not there: restore it")
        elif _digest(file.read_bytes()) != entry.digest:
            found.append(f"released/{entry.place}: rewritten: restore it; `make contracts RELEASE=1` adds another form")
    lying = {file.relative_to(home).as_posix() for file in home.rglob("*") if file.is_file()}
    found += [
        f"released/{place}: in no line of {_LIST}: restore its line"
        for place in sorted(lying - {_LIST} - {entry.place for entry in entries})
    ]
    forms = [entry.what for entry in entries if entry.what.startswith("migrations/")]
    found += [f"{what}: released twice: it never changes" for what in sorted({w for w in forms if forms.count(w) > 1})]
    return found


def migration_problems(folder: Path = FOLDER) -> list[str]:
    """Name every released migration that is gone or edited, and every new one that would run before released ones."""
    released = {entry.what: entry for entry in read_list(folder) if entry.what.startswith("migrations/")}
    tree = {what: text for what, text in in_the_tree(folder).items() if what.startswith("migrations/")}
    found = []
    for what, entry in released.items():
        copy = f"contracts/released/{entry.place}"
        if what not in tree:
            found.append(f"{named(what)}: gone, and databases have run it: restore it from {copy}")
        elif _digest(tree[what]) != entry.digest:
            found.append(
                f"{named(what)}: edited after it was released: restore it from {copy}, and add a new migration"
            )
    for what in tree.keys() - released.keys():
        if any(what < other for other in released if _service_of(other) == _service_of(what)):
            found.append(
                f"{named(what)}: in no line of the list, and databases have run later ones: number it after them, or"
                " restore its line"
            )
    return sorted(found)


def _service_of(migration: str) -> str:
    return migration.split("/")[1]


def history_problems(folder: Path = FOLDER) -> list[str]:
    """Name every entry that an earlier commit's list had and today's has not; raises `NoHistory`."""
    now = {(entry.what, entry.digest) for entry in read_list(folder)}
    commits = _git(folder, "log", "--full-history", "--format=%h", "--", f"released/{_LIST}").split()
    lost: dict[Entry, str] = {}
    for commit in commits:
        try:
            earlier = _entries(_git(folder, "show", f"{commit}:./released/{_LIST}"))
        except NoHistory:  # the commit that took the list away
            continue
        lost |= {entry: commit for entry in earlier if (entry.what, entry.digest) not in now}
    return [
        f"released/{entry.place}: in the list of commit {commit} and not in today's: restore it, released is released"
        for entry, commit in sorted(lost.items())
    ]


def _git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    try:
        told = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, env=environment
        )
    except FileNotFoundError as missing:
        raise NoHistory("git is not installed") from missing
    if told.returncode:
        raise NoHistory(told.stderr.strip())
    return told.stdout


def unreleased(folder: Path = FOLDER) -> dict[str, bytes]:
    """Give what stands in the tree in a form that no release has."""
    listed = {(entry.what, entry.digest) for entry in read_list(folder)}
    return {what: text for what, text in in_the_tree(folder).items() if (what, _digest(text)) not in listed}


def extend(folder: Path = FOLDER) -> list[Entry]:
    """Add what is unreleased as the next release, and give its entries. Never opens what is there for writing."""
    home, new = folder / "released", unreleased(folder)
    number = max((int(entry.release) for entry in read_list(folder) if entry.release != EARLIER), default=0) + 1
    added = [Entry(place=f"{number:04}/{what}", digest=_digest(text)) for what, text in new.items()]
    for entry in added:
        file = home / entry.place
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as once:
            once.write(new[entry.what])
    with (home / _LIST).open("a", encoding="utf-8") as lines:
        lines.writelines(f"{entry.digest}  {entry.place}\n" for entry in added)
    return added


def named(what: str) -> str:
    """Say a thing's name as people look for it: a file of the tree, or a topic."""
    kind, _, name = what.partition("/")
    match kind:
        case "topics":
            return f"topic {name.removesuffix('.json')}"
        case "migrations":
            return "services/{}/migrations/{}".format(*name.split("/"))
        case _:
            return f"contracts/{what}"


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
