"""pytest plugin: ``pytest scenarios --ipsectest-peer strongswan`` runs scenario files as tests, an item per variant.

Without the option it collects nothing, and nothing of ipsectest is imported: other projects of the same
environment do not pay for it. Against a daemon all collected cases run at once when the first item is due.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ipsectest.runner.records import CaseRecord
    from ipsectest.scenario.model import Case

_NO_SCENARIOS = frozenset({"requirements", "expected", "profiles"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("ipsectest", "IPsec scenarios")
    group.addoption(
        "--ipsectest-peer",
        metavar="NAME",
        help="collect scenario files and run them against this peer, a FILE.toml too",
    )
    group.addoption("--ipsectest-seed", type=int, default=0, metavar="N", help="what keys and nonces are drawn from")
    group.addoption("--ipsectest-strict", action="store_true", help="a SHOULD that is not kept fails")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ScenarioFile | None":
    """A TOML file with a script is a scenario."""
    if file_path.suffix != ".toml" or not parent.config.getoption("--ipsectest-peer"):
        return None
    if _NO_SCENARIOS & set(file_path.parts) or "script" not in file_path.read_text(encoding="utf-8", errors="replace"):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator["ScenarioItem"]:
        """One item for each variant and role."""
        from ipsectest.base.errors import InputError  # noqa: PLC0415
        from ipsectest.scenario.load import load  # noqa: PLC0415

        try:
            scenario = load(self.path)
        except InputError as error:
            raise self.CollectError(str(error)) from None
        player = _player(self.config)
        player.scenarios[scenario.id] = scenario
        for case in scenario.cases:
            yield ScenarioItem.from_parent(self, name=case.variant or "default", case=case)


class ScenarioItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: "Case", **options: Any) -> None:
        super().__init__(**options)
        self.case = case

    def runtest(self) -> None:
        """Play it, or look up what came of it."""
        record = _player(self.config).result(self)
        self.user_properties.append(("verdict", record.verdict.value))
        if record.outcome == "fixed":
            raise ScenarioFailure(record, f"passes, but is expected not to: {record.expectation}")
        if record.expectation:
            pytest.xfail(f"{record.verdict}: {record.expectation}")
        if record.verdict in {"unsupported", "skipped"}:
            pytest.skip(record.reason.text if record.reason else record.verdict.value)
        if record.outcome != "as-expected":
            raise ScenarioFailure(record, record.verdict.value)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The quarrel and the ladder instead of a traceback of ours."""
        if isinstance(excinfo.value, ScenarioFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the script is."""
        return self.path, None, self.case.id


class ScenarioFailure(Exception):  # noqa: N818 - it is no error of the program
    """A case that did not come out as expected."""

    def __init__(self, record: "CaseRecord", summary: str) -> None:
        lines = [f"{record.case_id} against {record.peer}: {summary}"]
        if reason := record.reason:
            lines += [f"{name:<9} {value}" for name, value in self._quarrel(reason) if value]
            lines.append(f"at        {reason.file}:{reason.line}")
        lines += [f"{rung.at:9.4f} {rung.direction} {rung.text}" for rung in record.ladder]
        lines.append(f"again     {record.repro}")
        super().__init__("\n".join(lines))

    @staticmethod
    def _quarrel(reason: Any) -> tuple[tuple[str, str], ...]:
        return ("why", reason.text), ("expected", reason.expected), ("actual", reason.actual)


class _Player:
    """Plays the collected cases; for a daemon all at once."""

    def __init__(self, config: pytest.Config) -> None:
        from datetime import UTC, datetime  # noqa: PLC0415

        from ipsectest.runner import any_peer  # noqa: PLC0415

        self.scenarios: dict[str, Any] = {}
        self._config = config
        self._peer = any_peer.parse(config.getoption("--ipsectest-peer"), datetime.now(UTC))
        self._results: dict[tuple[Path, str], CaseRecord] = {}

    def result(self, item: ScenarioItem) -> "CaseRecord":
        """What came of an item's case."""
        key = (item.path, item.case.id)
        if key not in self._results:
            from ipsectest.runner import any_peer  # noqa: PLC0415

            alone = any_peer.is_builtin(self._peer)
            items = [i for i in item.session.items if isinstance(i, ScenarioItem)]
            self._play([item] if alone else items)
        return self._results[key]

    def _play(self, items: list[ScenarioItem]) -> None:
        from datetime import UTC, datetime  # noqa: PLC0415

        from ipsectest.runner import any_peer, library, pki  # noqa: PLC0415
        from ipsectest.runner.recorder import Recorder  # noqa: PLC0415
        from ipsectest.runner.seed import stream  # noqa: PLC0415
        from ipsectest.runner.session import Session  # noqa: PLC0415

        cases = [item.case for item in items]
        seed = self._config.getoption("--ipsectest-seed")
        recorder = Recorder(self.scenarios, {}, seed, strict=self._config.getoption("--ipsectest-strict"))
        certificates = pki.make(datetime.now(UTC), stream(seed, "pki")) if pki.needs_certificates(cases) else None
        session = Session(recorder, library.root(), seed, pki=certificates)
        any_peer.play(session, self._peer, cases)
        records = {record.case_id: record for record in recorder.results}
        self._results |= {(item.path, item.case.id): records[item.case.id] for item in items}


_PLAYER = pytest.StashKey[_Player]()


def _player(config: pytest.Config) -> _Player:
    if _PLAYER not in config.stash:
        config.stash[_PLAYER] = _Player(config)
    return config.stash[_PLAYER]
