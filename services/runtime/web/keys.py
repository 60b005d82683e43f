"""Sign-in keys: made here from 120 random bits, and told by their form from what somebody thought up."""

import base64
import hashlib
import hmac
import re
import secrets

PREFIX = "leap_"
_RANDOM_BYTES = 15  # 120 bits: 24 letters of base32
_CHECK_LETTERS = 5
_OURS = re.compile(rf"{PREFIX}([a-z2-7]{{24}})([a-z2-7]{{{_CHECK_LETTERS}}})")
# What the release before made: 120 random bits too, but nothing by which to know them.
_OF_BEFORE = re.compile(r"[A-Za-z0-9_-]{20}")


def new_key() -> str:
    """Make a key, to be shown to its owner once. Its SHA-256 is kept: 120 random bits need no salt."""
    return key_from(secrets.token_bytes(_RANDOM_BYTES))


def key_from(random_bytes: bytes) -> str:
    """Give 15 random bytes the form of a key: the prefix, 24 letters, and five that follow from them."""
    letters = base64.b32encode(random_bytes).decode().lower()
    return f"{PREFIX}{letters}{_check(letters)}"


def is_ours(key: str) -> bool:
    """Tell a key that was made here from anything else: a chosen word has not the letters that follow from it."""
    form = _OURS.fullmatch(key)
    return form is not None and hmac.compare_digest(_check(form[1]), form[2])


def is_of_before(key: str) -> bool:
    """Tell what has the form of a key as the release before made them."""
    return _OF_BEFORE.fullmatch(key) is not None


def sha256_of(key: str) -> str:
    """Give what the people file holds of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _check(letters: str) -> str:
    digest = hashlib.sha256(f"{PREFIX}{letters}".encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_CHECK_LETTERS]
