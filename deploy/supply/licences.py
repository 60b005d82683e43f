"""Which licences what we pass on may have: `python -m deploy.supply.licences` lists all and ends with 1 for another."""

import sys
from collections.abc import Iterable

from license_expression import ExpressionError, LicenseSymbol, get_spdx_licensing

from deploy.supply.parts import Part, everything

ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0",
        "PostgreSQL", "Unlicense", "Zlib",
    }
)  # fmt: skip
"""They ask for their own words to be kept, and nothing of ours."""

ALSO: dict[str, tuple[str, str]] = {
    "certifi": ("MPL-2.0", "a list of certificates, passed on unchanged"),
}
"""Others, by part, with the reason."""

_spdx = get_spdx_licensing()


def complaints(parts: Iterable[Part]) -> list[str]:
    """Say which parts have a licence that is not on the list, or none that is known."""
    return [f"{part.purl}: {part.licence}" for part in parts if not _may(part)]


def _may(part: Part) -> bool:
    if part.name in ALSO and ALSO[part.name][0] == part.licence:
        return True
    if not part.licence:
        return False
    try:
        parsed = _spdx.parse(part.licence, validate=True)
    except ExpressionError:
        return False
    # Of several to choose from one is enough; of several that hold together each must do.
    held = parsed.subs({each: _spdx.TRUE if each.key in ALLOWED else _spdx.FALSE for each in _symbols(parsed)})
    return bool(held.simplify() == _spdx.TRUE)


def _symbols(parsed: object) -> list[LicenseSymbol]:
    return list(_spdx.license_symbols(parsed, unique=True, decompose=False))


def main() -> int:
    """Print every part with its licence, by licence."""
    parts = everything()
    for part in sorted(parts, key=lambda each: (each.licence, each.purl)):
        print(f"{part.licence:40} {part.purl}")
    refused = complaints(parts)
    for each in refused:
        print(f"not on the list: {each}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
