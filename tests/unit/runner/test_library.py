from pathlib import Path

import pytest

from ipsectest.base.errors import UsageError
from ipsectest.runner import library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ike/init/cookie", "ike/init/cookies-twice", "ike/auth/psk", "expected/strongswan", "profiles/x"):
        path = tmp_path / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "ids"),
    [
        ([], ["ike/auth/psk", "ike/init/cookie", "ike/init/cookies-twice"]),
        (["ike/init"], ["ike/init/cookie", "ike/init/cookies-twice"]),
        (["ike/init/cookie"], ["ike/init/cookie"]),
        (["ike/init/cookie.toml", "ike/auth/"], ["ike/init/cookie", "ike/auth/psk"]),
        (["*/psk", "ike/auth"], ["ike/auth/psk"]),
    ],
)
def test_patterns_mean_files(folder: Path, patterns: list[str], ids: list[str]) -> None:
    assert [library.scenario_id(p, folder) for p in library.select(patterns, folder)] == ids


def test_paths_are_patterns_too(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "mine.toml"
    outside.write_text("")
    assert library.select([str(outside)], folder) == [outside]
    assert library.select([str(outside.parent)], folder) == [outside]
    assert library.scenario_id(outside, folder) == "mine"


def test_an_unknown_scenario_is_answered_with_the_nearest(folder: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'ike/init/cookie'"):
        library.select(["ike/init/coookie"], folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder of scenarios"):
        library.root(tmp_path / "none")
