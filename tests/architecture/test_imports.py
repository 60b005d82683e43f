"""Who may import whom."""

from tests.architecture import checks
from tests.architecture.checks import ROOT


def test_no_service_imports_another() -> None:
    assert checks.services_that_know_each_other(ROOT) == []


def test_inside_a_service_imports_point_one_way() -> None:
    assert checks.wrong_directions(ROOT) == []


def test_a_rule_asks_nobody() -> None:
    assert checks.rules_that_do_more(ROOT) == []


def test_imports_say_which_room_they_reach_into() -> None:
    assert checks.relative_imports(ROOT) == []


def test_the_runtime_knows_no_word_of_the_domain() -> None:
    assert checks.runtime_that_knows_the_domain(ROOT) == []


def test_contracts_import_pydantic_only() -> None:
    assert checks.contracts_that_need_more_than_pydantic(ROOT) == []


def test_no_file_is_longer_than_one_sitting() -> None:
    assert checks.long_files(ROOT) == []


def test_no_function_asks_for_more_than_seven_things_at_once() -> None:
    assert checks.crowded_functions(ROOT) == []
