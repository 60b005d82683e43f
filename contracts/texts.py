"""What people can see of a text: what nobody can see names nothing, and tells no two codes apart."""

from unicodedata import category

# Letters and signs by their category, and drawn as nothing: fillers of Hangul, the empty pattern of Braille.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_UNSEEN = frozenset(("Cc", "Cf", "Zl", "Zp"))


def says_something(text: str) -> bool:
    """Tell whether a letter, a digit or a sign stands in it that people can see."""
    return any(category(each)[0] in "LNPS" and each not in _BLANK for each in text)


def has_unseen(text: str) -> bool:
    """Tell whether a character stands in it that is drawn as nothing: two codes that look alike may differ by it.

    Spaces are none: people see that something is apart there.
    """
    return (not text.isprintable() and any(category(each) in _UNSEEN for each in text)) or not _BLANK.isdisjoint(text)


def seen_or_nothing(text: object) -> object:
    """Give a text as it is, and an empty one where nobody could see any of it: then it is as if it were left out."""
    return "" if isinstance(text, str) and not says_something(text) else text
