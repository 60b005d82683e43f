"""What the table of identity providers says, and what it may not."""

from pathlib import Path

import pytest

from services.runtime.settings import SettingsRejected
from services.runtime.web.providers import Told, name_of, read_providers
from services.runtime.web.vouching import Vouching
from tests import people, vouched

ISSUER = "https://login.valley.example"


def told(*groups: str, username: str = "m.vega") -> Told:
    return Told(subject="s-1", username=username, display_name="Marisol Vega", language="es", groups=groups)


def test_the_first_group_in_the_table_decides_and_scopes_of_that_role_add_up(tmp_path: Path) -> None:
    (valley,) = read_providers(vouched.table(tmp_path, ISSUER)).values()
    both = valley.person("valley", told("desk of danbury", "desk of hartford", "visitors"))
    assert both is not None
    assert (both.name, both.role, both.scopes) == ("valley.m.vega", "scheduler", frozenset({"hartford", "danbury"}))
    visitor = valley.person("valley", told("visitors"))
    assert visitor is not None
    assert (visitor.role, visitor.scopes, visitor.language) == ("visitor", frozenset({"hartford"}), "es")


def test_who_is_in_no_group_of_the_table_is_nobody(tmp_path: Path) -> None:
    (valley,) = read_providers(vouched.table(tmp_path, ISSUER)).values()
    assert valley.person("valley", told()) is None
    assert valley.known_groups(["teachers", "visitors", 7, None]) == ("visitors",)
    assert valley.known_groups("visitors") == ("visitors",)
    assert valley.known_groups({"visitors": True}) == ()


def test_a_name_of_ours_is_given_by_the_table_alone(tmp_path: Path) -> None:
    file = vouched.table(tmp_path, ISSUER)
    file.write_text(file.read_text() + '\n[valley.names]\n"m.vega" = "marisol"\n')
    (valley,) = read_providers(file).values()
    known, other = valley.person("valley", told("visitors")), valley.person("valley", told("visitors", username="ana"))
    assert known is not None
    assert other is not None
    assert (known.name, other.name) == ("marisol", "valley.ana"), "not the ana who has a key here"


@pytest.mark.parametrize(
    ("username", "name"),
    [
        ("M.Vega", "valley.m.vega"),
        ("m.vega@valley.example", "valley.m.vega_at_valley.example"),
        ("m_at_vega", None),
        ("m vega", None),
        ("-vega", None),
        ("vega" * 20, None),
        ("", None),
    ],
)
def test_two_people_never_have_one_name(username: str, name: str | None) -> None:
    assert name_of("valley", username) == name


WRONG = {
    "no tls": (ISSUER, "http://login.valley.example"),
    "more than it may": ('scopes = ["danbury"]', 'scopes = ["norwich"]'),
    "everything, where it may give two": ('scopes = ["danbury"]', 'scopes = ["*"]'),
    "no id": ('client_id = "leap"', ""),
    "an unknown word": ('client_id = "leap"', 'client_id = "leap"\npassword = "hunter2"'),
    "no toml": ("[valley]", "[valley"),
}


@pytest.mark.parametrize(("before", "after"), WRONG.values(), ids=WRONG.keys())
def test_a_table_that_does_not_do_is_refused_without_saying_what_it_holds(
    tmp_path: Path, before: str, after: str
) -> None:
    file = vouched.table(tmp_path, ISSUER)
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(SettingsRejected, match="LEAP_PROVIDERS_FILE") as refused:
        read_providers(file)
    assert "hunter2" not in str(refused.value)


def test_a_changed_table_is_read_again_and_a_broken_one_leaves_the_one_before(tmp_path: Path) -> None:
    file = vouched.table(tmp_path, ISSUER)
    vouching = Vouching.load(file, people.SESSION_SECRET)
    file.write_text("[valley")
    vouching.reread()
    assert vouching.offered() == [("valley", "The Valley")]
    vouched.table(tmp_path, ISSUER, **{"The Valley": "Valley Schools"})
    vouching.reread()
    assert vouching.offered() == [("valley", "Valley Schools")]


def test_a_provider_without_its_secret_is_refused(tmp_path: Path) -> None:
    file = vouched.table(tmp_path, ISSUER)
    (tmp_path / "valley.secret").unlink()
    with pytest.raises(SettingsRejected, match="client_secret_file of valley can't be read"):
        Vouching.load(file, people.SESSION_SECRET)
