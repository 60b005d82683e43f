"""The bill of materials of a build: `python -m deploy.supply.bill FILE` (CycloneDX 1.6, JSON)."""

import sys
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from contracts.release import current_version
from deploy.supply.parts import ROOT, UNKNOWN, Part, everything


def bill_of(version: str, parts: list[Part]) -> str:
    """Write the bill of a version. Raises ValueError where it is not as the format asks."""
    bom = Bom()
    leap = Component(type=ComponentType.APPLICATION, name="leap", version=version, bom_ref=f"leap@{version}")
    bom.metadata.component = leap
    components = [_component(part) for part in parts]
    bom.components.update(components)
    bom.register_dependency(leap, components)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"the bill is not as CycloneDX asks: {wrong}")
    return text


def _component(part: Part) -> Component:
    # A package has a digest for each system that it is built for: only what is one file has one digest.
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=part.sha256[0])] if len(part.sha256) == 1 else []
    return Component(
        type=ComponentType.LIBRARY,
        group=part.group or None,
        name=part.name,
        version=part.version,
        purl=PackageURL.from_string(part.purl),
        bom_ref=part.purl,
        hashes=hashes,
        licenses=[] if part.licence == UNKNOWN else [LicenseExpression(part.licence)],
    )


def main(file: Path) -> int:
    """Write the bill of this tree."""
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = everything()
    file.write_text(bill_of(current_version(ROOT), parts), encoding="utf-8")
    print(f"{len(parts)} parts in {file}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m deploy.supply.bill FILE")
    sys.exit(main(Path(sys.argv[1])))
