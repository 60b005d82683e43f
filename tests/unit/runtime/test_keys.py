"""Keys are made here, and known by their form."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.web.keys import is_of_before, is_ours, key_from, new_key


def test_a_new_key_is_ours_and_no_two_are_alike() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(is_ours(key) and key.startswith("leap_") and len(key) == 34 for key in keys)


@given(st.binary(min_size=15, max_size=15), st.integers(5, 33), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_wrong_letter_is_noticed(random_bytes: bytes, place: int, letter: str) -> None:
    key = key_from(random_bytes)
    mistyped = key[:place] + letter + key[place + 1 :]
    assert is_ours(mistyped) == (mistyped == key)


@pytest.mark.parametrize("chosen", ["", "summer2026", "leap_", "leap_" + "a" * 29, "leap_" + "A" * 29, "é" * 34])
def test_what_somebody_thought_up_is_not_ours(chosen: str) -> None:
    assert not is_ours(chosen)


def test_keys_of_the_release_before_have_a_form_too() -> None:
    assert is_of_before(secrets.token_urlsafe(15))
    assert not is_of_before("a word and another")
    assert not is_of_before(new_key())
