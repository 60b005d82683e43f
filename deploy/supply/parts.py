"""Every part that runs: packages of Python as locked, with what is installed of them, and jars as pinned."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from deploy.supply import jars

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-assets.txt")
UNKNOWN = "unknown"
_LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Part(NamedTuple):
    """One part: its package address (purl), its licence as SPDX writes it, and the digests of what may be installed."""

    kind: str
    group: str
    name: str
    version: str
    licence: str
    sha256: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Give the address by which every tool knows it."""
        return f"pkg:{self.kind}/{f'{self.group}/' if self.group else ''}{self.name}@{self.version}"


def everything(root: Path | None = None) -> list[Part]:
    """List what runs, packages first."""
    root = root or ROOT
    packages = {part.purl: part for lock in LOCKS for part in _packages((root / lock).read_text(encoding="utf-8"))}
    of_jars = (Part("maven", jar.group, jar.artifact, jar.version, jar.licence, (jar.sha256,)) for jar in jars.locked())
    return [*packages.values(), *of_jars]


def _packages(lock: str) -> Iterator[Part]:
    # A line and the hashes that follow it, up to the next one.
    for block in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        if locked := _LOCKED.match(block):
            name, version = locked["name"], locked["version"]
            yield Part("pypi", "", name.lower(), version, licence_of(name), tuple(_HASH.findall(block)))


def licence_of(name: str) -> str:
    """Give the licence that an installed package tells; unknown where it tells none, or is for another system."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return _OTHER_SYSTEMS.get(name, UNKNOWN)
    if "License-Expression" in told:
        return str(told["License-Expression"])
    words = (told["License"] or "").strip() if "License" in told else ""
    if words and "\n" not in words and len(words) < 60:
        return _SPDX.get(words, words)
    classifiers = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier") or () if "License ::" in each]
    return " OR ".join(sorted({_SPDX.get(each, each) for each in classifiers})) or UNKNOWN


_SPDX = {
    "Apache 2": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_OTHER_SYSTEMS = {"pywin32": "PSF-2.0", "httpx2-jsfetch": "BSD-3-Clause"}
