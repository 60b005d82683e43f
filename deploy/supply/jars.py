"""The jars that Maven fetches, pinned: what each must be, byte for byte, and under which licence.

`python -m deploy.supply.jars` writes the list anew, after a version in the pom was changed: read what differs before
you commit it.
"""

import csv
import hashlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

LOCKED = Path(__file__).parents[1] / "local" / "kafka" / "jars.csv"
POM = LOCKED.parent / "pom.xml"
_POM = "{http://maven.apache.org/POM/4.0.0}"
_LISTED = re.compile(
    r"^\s+(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):jar:(?:(?P<kind>[\w.-]+):)?(?P<version>[\w.-]+):\w+"
)


class Jar(NamedTuple):
    """One jar: where Maven has it from, its SHA-256, and its licence as SPDX writes it."""

    group: str
    artifact: str
    version: str
    sha256: str
    licence: str

    @property
    def file(self) -> str:
        """Name the file as Maven lays it out."""
        return f"{self.artifact}-{self.version}.jar"


class JarsDiffer(Exception):
    """What was fetched is not what is pinned: changed on the way, or the list is old. Nothing is started."""


def locked(file: Path = LOCKED) -> list[Jar]:
    """Read the list, in the order of its files."""
    return [Jar(**row) for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())]


def verify(folder: Path, jars: list[Jar] | None = None) -> None:
    """Raise JarsDiffer unless the folder holds exactly the pinned jars."""
    wanted = {jar.file: jar.sha256 for jar in (locked() if jars is None else jars)}
    found = {path.name: digest_of(path) for path in folder.glob("*.jar")}
    differs = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differs:
        raise JarsDiffer(f"not the jars that are pinned in {LOCKED.name}: {', '.join(differs[:5])}")


def digest_of(path: Path) -> str:
    """Give the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(jars: list[Jar]) -> str:
    """Write the list as it is committed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Jar._fields)
    listed = sorted(jars, key=_file_of)
    writer.writerows(listed)
    return text.getvalue()


def _file_of(jar: Jar) -> str:
    return jar.file


def main() -> int:
    """Let Maven resolve the pom, and write what it found."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "listed"
        maven = ["mvn", "-q", "-B", "-f", str(POM), "dependency:list", f"-DoutputFile={listed}"]
        subprocess.run(maven, check=True)
        home = Path.home() / ".m2" / "repository"
        jars = [
            _found(home, match.groupdict())
            for line in listed.read_text().splitlines()
            if (match := _LISTED.match(line))
        ]
    LOCKED.write_text(write(jars), encoding="utf-8")
    print(f"{len(jars)} jars pinned in {LOCKED}")
    return 0


def _found(repository: Path, named: Mapping[str, str]) -> Jar:
    group, artifact, version = named["group"], named["artifact"], named["version"]
    folder = repository / group.replace(".", "/") / artifact / version
    licence = _licence(repository, folder / f"{artifact}-{version}.pom")
    return Jar(group, artifact, version, digest_of(folder / f"{artifact}-{version}.jar"), licence)


def _licence(repository: Path, pom: Path) -> str:
    """Read the licence of a pom, or of the one that it extends."""
    root = ElementTree.parse(pom).getroot()
    names = [each.findtext(f"{_POM}name", "").strip() for each in root.iterfind(f"{_POM}licenses/{_POM}license")]
    if names:
        return " OR ".join(sorted({_SPDX.get(name, name) for name in names}))
    parent = root.find(f"{_POM}parent")
    if parent is None:
        return "unknown"
    group, artifact, version = (parent.findtext(f"{_POM}{part}", "") for part in ("groupId", "artifactId", "version"))
    return _licence(repository, repository / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.pom")


_SPDX = {
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache License Version 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "The Apache License, Version 2.0": "Apache-2.0",
    "The Apache Software License, Version 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "BSD 3-Clause": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT-0": "MIT-0",
    "MIT": "MIT",
    "The MIT License": "MIT",
    "Apache 2.0 License": "Apache-2.0",
    "Go License": "BSD-3-Clause",
    "Public Domain, per Creative Commons CC0": "CC0-1.0",
}


if __name__ == "__main__":
    sys.exit(main())
