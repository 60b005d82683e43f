"""Forms as they come in: text, not too much of it, and nothing a database can't store."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request

from services.runtime.web.languages import N_

MAX_BYTES = 64 * 1024
MAX_FIELDS = 200


class Form:
    """The fields of a form, in the order they were sent; a name may come more than once."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def get(self, name: str, otherwise: str = "") -> str:
        """Give the field's first value."""
        return next((value for each, value in self._fields if each == name), otherwise)

    def all(self, name: str) -> list[str]:
        """Give every value of the field: ticked boxes, chosen lines."""
        return [value for each, value in self._fields if each == name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def values(self) -> dict[str, str]:
        """Give each field's first value by name, to show again what was typed."""
        return {name: self.get(name) for name in self}


async def read_form(request: Request, *, max_bytes: int = MAX_BYTES) -> Form:
    """Read a URL-encoded form. Raises HTTPException: 413 too long, 415 no form, 422 no text."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, N_("send this as a form"))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, N_("this is longer than any form here; send less"))
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise HTTPException(422, N_("this is not a form's text; open the page again and send it from there")) from None
    if any("\x00" in text for field in fields for text in field):
        raise HTTPException(422, N_("a field holds a character that is no text"))
    # Browsers send line ends as two characters; people mean one.
    return Form([(name, value.replace("\r\n", "\n")) for name, value in fields])
