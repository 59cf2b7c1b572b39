import pytest

from ipsectest.base.errors import InputError, LabError, Place, UnsupportedError, UsageError


def test_an_input_error_starts_with_its_place() -> None:
    error = InputError("unknown payload 'KF'", Place("a.toml", 7, 3), hint="did you mean 'KE'?")
    assert str(error) == "a.toml:7:3: unknown payload 'KF' (did you mean 'KE'?)"


def test_unknown_parts_of_a_place_are_left_out() -> None:
    assert str(Place("a.toml", 7)) == "a.toml:7"
    assert str(Place("a.toml", 0, 3)) == "a.toml"
    assert str(InputError("empty file")) == "empty file"


@pytest.mark.parametrize(("error", "code"), [(UsageError("x"), 2), (InputError("x"), 2), (LabError("x"), 3)])
def test_errors_carry_the_exit_code(error: UsageError | InputError | LabError, code: int) -> None:
    assert error.exit_code == code


def test_unsupported_names_the_ability() -> None:
    assert str(UnsupportedError("rekey_child", "no such verb")) == "rekey_child: no such verb"
    assert UnsupportedError("x").ability == "x"
