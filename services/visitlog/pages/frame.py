"""What every page of the visit log stands in: its words, the languages it names, the ids in its address."""

from datetime import date
from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request

from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.visitlog.pages import words


def id_in(address: str) -> UUID:
    """Read an id in an address; what is none leads nowhere."""
    try:
        return UUID(address)
    except ValueError:
        raise HTTPException(404) from None


def page_words(person: Person, current: str) -> dict[str, Any]:
    """Give the words that every page here is made of, for the reader; `current` is the part of the service."""
    return {
        "words": words.ALL,
        "of_code": words.of_code,
        "as_date": date.fromisoformat,
        "role": person.role,
        "current": current,
    }


def language_names(pages: Pages, request: Request, *more: str | None) -> dict[str, str]:
    """Name the languages that families here speak, in the reader's own, and `more`."""
    locale = pages.language(request).locale
    codes = {*words.LANGUAGES, *(code for code in more if code)}
    names = {
        code: locale.languages.get(code.replace("-", "_")) or locale.languages.get(code[:2]) or code for code in codes
    }
    return dict(sorted(names.items(), key=lambda named: named[1].casefold()))
