import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.report import jsonfile
from ipsectest.runner.records import RunRecord


def test_shipped_schema_follows_from_the_record_classes() -> None:
    assert json.loads(jsonfile.SCHEMA_FILE.read_text()) == jsonfile.schema()


def test_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(jsonfile.schema())


def test_report_satisfies_the_shipped_schema(record: RunRecord) -> None:
    shipped = json.loads(jsonfile.SCHEMA_FILE.read_text())
    jsonschema.validate(json.loads(jsonfile.dump(record)), shipped)


@pytest.mark.parametrize(
    ("member", "value"),
    [("verdict", "passed"), ("peer", 7), ("duration_s", "1"), ("nonsense", 1), ("checks", {})],
)
def test_schema_and_reader_refuse_the_same_documents(
    record: RunRecord, tmp_path: Path, member: str, value: object
) -> None:
    document = json.loads(jsonfile.dump(record))
    document["results"][3][member] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, jsonfile.schema())
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"report\.json: results\[3\]"):
        jsonfile.load(path)


def test_reads_back_what_was_written(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(jsonfile.dump(record))
    assert jsonfile.load(tmp_path) == record


def test_same_results_give_the_same_octets(record: RunRecord) -> None:
    reordered = replace(record, peers=dict(reversed(record.peers.items())))
    assert jsonfile.dump(reordered) == jsonfile.dump(record)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "is no report of schema 1"),
        (b'{"schema": 2}', "is no report of schema 1"),
        (b'{"schema": 1}', "lacks peers, results, run, scenarios"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"schema": 1' + b"0" * 5000 + b"}", "number that is too long"),
    ],
)
def test_a_broken_report_is_named(tmp_path: Path, content: object, complaint: str) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        jsonfile.load(tmp_path)


def test_a_number_that_no_float_holds_is_named(record: RunRecord, tmp_path: Path) -> None:
    document = json.loads(jsonfile.dump(record))
    document["results"][3]["duration_s"] = 10**400
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"results\[3\]\.duration_s: a number that is too large"):
        jsonfile.load(tmp_path)


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        jsonfile.load(tmp_path / "none.json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["run", "peers", "results", "requirements"]), inner)
    ),
)


@given(content=st.dictionaries(st.sampled_from(["run", "peers", "results", "scenarios", "tool"]), _JSON))
def test_any_json_is_read_or_refused_with_a_message(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"schema": 1} | content))
    with pytest.raises(InputError):
        jsonfile.load(path)
