"""Our own record: one JSON object per landing record or NDJSON line. The hot path starts here."""

import re
from collections.abc import Iterable
from typing import NoReturn

import msgspec

from contracts.events import RejectionReason
from contracts.texts import has_unseen, says_something
from services.ingest.rules.landing import (
    CODE_RULE,
    STATES,
    Enrollment,
    Household,
    Landed,
    PartOfRoll,
    RefusedMark,
    Rejection,
    ReopenedRoll,
    Retraction,
    Roll,
    RollInPieces,
    RollMark,
    Written,
)

MAX_ROW_BYTES = 64 * 1024

_decoder: msgspec.json.Decoder[Written] = msgspec.json.Decoder(Written)
_pieces_decoder = msgspec.json.Decoder(RollInPieces)
_mark_decoder = msgspec.json.Decoder(RollMark)
# PostgreSQL text can't hold a NUL, and no name or number has a bell in it; line ends and tabs may stand in an address.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PATH = re.compile(r" - at `\$\.?([A-Za-z_.\[\]0-9]*)`$")
_FIELD = re.compile(r"missing required field `(\w+)`")
_PLACE_IN_MARK = re.compile(r" - at `\$\[([0-4])\]`$")
_INSIDE_A_MARK = " - at `$.marks["
_FORMS = {
    "school": CODE_RULE,
    "track": CODE_RULE,
    "language": "not a language: two or three small letters, and where needed a country: en, es, pt-BR",
}
"""By field, the form that its texts have, and the way out."""
_CODES = ("school", "student", "state_student", "household", "id", "track")
_NO_STATE_NUMBER = b'"state:"'


def decode(value: bytes | None) -> Landed:
    """Read one landed record. Raises Rejection, whatever the bytes are."""
    if value is None:
        raise Rejection(RejectionReason.NOT_JSON, "record: no value")
    if len(value) > MAX_ROW_BYTES:
        raise Rejection(RejectionReason.TOO_LARGE, f"record: over {MAX_ROW_BYTES} bytes")
    try:
        if not value.isascii():
            value.decode()  # the decoder skips fields it doesn't know, and what is wrong in them
        record = _decoder.decode(value)
    except (ValueError, RecursionError) as error:
        if _INSIDE_A_MARK in str(error):
            return _in_pieces(value)
        refuse(error)
    is_plain = b"\\" not in value and value.isascii()
    if isinstance(record, Roll):
        return record if is_plain and _NO_STATE_NUMBER not in value else _in_pieces(value)
    if not is_plain:
        _refuse_escaped_control_characters(record)
        if not _takes_back(record):
            refuse_unseen(record)
    return record


def marks_as_sent(value: bytes) -> list[bytes]:
    """Give the bytes of each mark of a landed roll, in their order. Raises Rejection where it is none."""
    try:
        return [bytes(mark) for mark in _pieces_decoder.decode(value).marks]
    except ValueError as error:
        refuse(error)


def _in_pieces(value: bytes) -> Landed:
    """Read a roll mark by mark: a bad one takes no neighbour with it. Raises Rejection for what stands around them."""
    try:
        pieces = _pieces_decoder.decode(value)
    except (ValueError, RecursionError) as error:
        refuse(error)
    around = {name: getattr(pieces, name) for name in pieces.__struct_fields__ if name != "marks"}
    _refuse_escaped_control_characters(around)
    _refuse_unseen_in("school", pieces.school)
    marks, places, refused = [], [], []
    for place, piece in enumerate(pieces.marks, 1):
        try:
            marks.append(_read_mark(piece))
            places.append(place)
        except Rejection as rejection:
            refused.append(RefusedMark(place, rejection, bytes(piece)))
    roll = Roll(marks=marks, **around)
    return PartOfRoll(roll=roll, places=places, refused=refused) if refused else roll


def _read_mark(piece: msgspec.Raw) -> RollMark:
    try:
        mark = _mark_decoder.decode(piece)
    except (ValueError, RecursionError) as error:
        if not isinstance(error, msgspec.ValidationError):
            refuse(error)
        message = str(error)
        if "at least length" in message:
            raise Rejection(RejectionReason.MISSING_FIELD, "student, category, version: all are needed") from None
        place = _PLACE_IN_MARK.search(message)
        path = RollMark.__struct_fields__[int(place[1])] if place else "mark"
        reason, rule = _reason_and_rule(message, path)
        raise Rejection(reason, f"{path}: {rule}") from None
    _refuse_escaped_control_characters(mark)
    refuse_unseen(mark)
    if mark.student == STATES:
        raise Rejection(RejectionReason.MISSING_FIELD, f"student: no number behind {STATES}")
    return mark


def _refuse_escaped_control_characters(read: object) -> None:
    refuse_control_characters("".join(_texts(msgspec.to_builtins(read))))


def _takes_back(record: Written) -> bool:
    # What came in before such characters were refused must not stand for ever.
    return isinstance(record, Retraction | ReopenedRoll) or (isinstance(record, Enrollment) and record.withdrawn)


def refuse_unseen(record: Written | RollMark) -> None:
    """Raise Rejection for a code that looks like another one, or a name of which nobody sees anything.

    A number with a mark of direction or a joiner in it is another pupil's, and on every screen the same.
    """
    for code in _CODES:
        _refuse_unseen_in(code, getattr(record, code, None))
    if isinstance(record, Household):
        for student in record.students:
            _refuse_unseen_in("student", student.student)
            _refuse_unseen_in("state_student", student.state_student)
        names = (record.contact_name, *(each for one in record.students for each in (one.given_name, one.family_name)))
        if not all(map(says_something, names)):
            raise Rejection(RejectionReason.OUT_OF_RANGE, "record: a name that nobody can see")


def _refuse_unseen_in(field: str, code: str | None) -> None:
    if code is not None and has_unseen(code):
        raise Rejection(RejectionReason.OUT_OF_RANGE, f"{field}: a character that nobody can see")


def refuse(error: Exception) -> NoReturn:
    """Raise the Rejection that a decoding error stands for, without the value msgspec may quote."""
    if isinstance(error, UnicodeDecodeError):
        raise Rejection(RejectionReason.NOT_UTF8, "record: not UTF-8") from None
    if not isinstance(error, msgspec.ValidationError):
        raise Rejection(RejectionReason.NOT_JSON, "record: not a complete JSON object") from None
    message = str(error)
    if missing := _FIELD.search(message):
        raise Rejection(RejectionReason.MISSING_FIELD, f"{missing[1]}: missing") from None
    found = _PATH.search(message)
    path = found[1] if found and found[1] else "record"
    reason, rule = _reason_and_rule(message, path)
    raise Rejection(reason, f"{path}: {rule}") from None


def _reason_and_rule(message: str, path: str) -> tuple[RejectionReason, str]:
    if path == "type":
        return RejectionReason.UNKNOWN_RECORD_TYPE, "not a type of record we know"
    if message.startswith("Invalid enum value"):
        if path == "category":
            return RejectionReason.UNKNOWN_CATEGORY, "not a category we know"
        return RejectionReason.OUT_OF_RANGE, "not one of the values allowed"
    if message.startswith("Invalid RFC3339"):
        return RejectionReason.IMPOSSIBLE_DATE, "not a date of the form 2026-09-01"
    if "of length" in message:
        return RejectionReason.OUT_OF_RANGE, "length outside the limits"
    if " >= " in message or " <= " in message or "out of range" in message:
        return RejectionReason.OUT_OF_RANGE, "number outside the limits"
    if "matching regex" in message:
        return RejectionReason.OUT_OF_RANGE, _FORMS.get(path, "not of the form allowed")
    return RejectionReason.WRONG_TYPE, "not the type of value this field holds"


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def refuse_control_characters(text: str) -> None:
    """Raise Rejection where a text holds a control character other than tab and line end."""
    if _CONTROL.search(text):
        raise Rejection(RejectionReason.OUT_OF_RANGE, "record: a control character in a text")
