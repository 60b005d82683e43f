"""Pins the images of others by digest: `python -m deploy.supply.digests` writes deploy/images.env.

Where a registry answers; then

    docker compose --env-file deploy/images.env -f deploy/compose.yaml ... up -d
    docker build --build-arg BASE_IMAGE=... -f deploy/Dockerfile .      # BASE_IMAGE as the file names it

It ends with 4, and changes nothing, where no registry can be asked.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DEPLOY = Path(__file__).parents[1]
FILE = DEPLOY / "images.env"
WELL, NOT_ASKED = 0, 4
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z]+_IMAGE):-(?P<image>[^}]+)\}")
_BASE = re.compile(r"(?m)^ARG (?P<name>BASE_IMAGE)=(?P<image>\S+)$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NotAsked(Exception):
    """A registry did not say which image bears the name today."""


def images(deploy: Path = DEPLOY) -> dict[str, str]:
    """Give the images of others by the variable or build argument that names them."""
    texts = (deploy / "compose.yaml").read_text("utf-8"), (deploy / "Dockerfile").read_text("utf-8")
    named = [*_VARIABLE.finditer(texts[0]), *_BASE.finditer(texts[1])]
    return {each["name"]: each["image"] for each in named if each["name"] != "LEAP_IMAGE"}


def pinned(named: dict[str, str], digest_of: Callable[[str], str]) -> str:
    """Write a line for each image that names it by tag and digest: the tag for people, the digest for the engine."""
    lines = [f"{name}={image}@{digest_of(image)}" for name, image in sorted(named.items())]
    return "\n".join(["# Written by `python -m deploy.supply.digests`.", *lines]) + "\n"


def asked_of_the_registry(image: str) -> str:
    """Ask which image the name means today. Raises NotAsked."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    if not _DIGEST.fullmatch(said):
        raise NotAsked(image)
    return said


def main() -> int:
    """Ask after every image and write the file, or change nothing."""
    try:
        text = pinned(images(), asked_of_the_registry)
    except NotAsked as image:
        print(
            f"not pinned: no registry told the digest of {image}; run this where there is a network and docker buildx"
        )
        return NOT_ASKED
    FILE.write_text(text, encoding="utf-8")
    print(f"written: {FILE}")
    return WELL


if __name__ == "__main__":
    sys.exit(main())
