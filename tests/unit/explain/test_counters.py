"""What kernels counted: read from text, and judged for one end or for both."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.explain.counters.reading import read_counters
from ipsectest.explain.explanation import Explanation, explain
from ipsectest.explain.findings import Severity

STATE = """\
src {source} dst {destination}
\tproto esp spi 0x{spi:08x}({spi}) reqid 1(0x00000001) mode tunnel
\treplay-window 0 seq 0x00000000 flag af-unspec (0x00100000)
\taead rfc4106(gcm(aes)) <<Keys hidden>> 128
\tanti-replay esn context:
\t seq-hi 0x0, seq 0x{came:x}, oseq-hi 0x0, oseq 0x{sent:x}
\t replay_window 128, bitmap-length 4
\t 00000000 00000000 00000000 00000000
\tlifetime config:
\t  limit: soft 100(packets), hard 100(packets)
\tlifetime current:
\t  {octets}(bytes), {packets}(packets)
\t  add 2026-01-01 00:00:00 use 2026-01-01 00:00:01
\tstats:
\t  replay-window {late} replay {replayed} failed {failed}
"""
ENDS = {"source": "192.0.2.1", "destination": "192.0.2.2"}


def state(**numbers: int) -> str:
    values = dict.fromkeys(("sent", "came", "packets", "late", "replayed", "failed"), 0) | {"spi": 0xC0FFEE} | numbers
    return STATE.format(**ENDS, octets=values["packets"] * 84, **values)


def told(folder: Path, **texts: str) -> Explanation:
    found = []
    for name, text in texts.items():
        (folder / name).write_text(text)
        facts = read_counters(folder / name, name)
        assert facts is not None
        found.append(facts)
    return explain([], [], found)


def test_what_one_end_sent_and_the_other_did_not_get_is_lost(tmp_path: Path) -> None:
    for one_line in (False, True):
        near, far = state(sent=100, packets=100), state(came=100, packets=83, late=2, replayed=5, failed=5)
        if one_line:
            near, far = near.replace("\n", "\\"), far.replace("\n", "\\")
        found = {one.code: one for one in told(tmp_path, far=far, near=near).findings}
        assert found["packets-lost"].text == "10 of 100 packets of 192.0.2.1 did not come to 192.0.2.2 (10.0%)."
        assert found["packets-lost"].severity is Severity.FAILURE
        assert found["packets-lost"].who == "ESP 00c0ffee 192.0.2.1 > 192.0.2.2"
        assert "dropped 7 packets and took 83: 5 that were there already" in found["packets-replayed"].text
        assert "5 packets whose ICV is wrong" in found["packets-damaged"].text


def test_the_same_kernel_at_two_times_has_lost_nothing(tmp_path: Path) -> None:
    before, after = state(sent=10, packets=10), state(sent=30, packets=30)
    assert [one.code for one in told(tmp_path, before=before, after=after).findings] == ["no-ike"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("XfrmInStateSeqError", "packets-replayed"),
        ("XfrmInStateProtoError", "packets-damaged"),
        ("XfrmInNoStates", "unknown-spi"),
        ("XfrmInStateMismatch", "esp-not-encapsulated"),
        ("XfrmInTmplMismatch", "refused-by-policy"),
        ("XfrmInNoPols", "refused-by-policy"),
        ("XfrmInPolBlock", "refused-by-policy"),
        ("XfrmOutPolBlock", "refused-by-policy"),
        ("XfrmOutNoStates", "no-sa-to-send-on"),
    ],
)
def test_drops_of_the_whole_kernel(tmp_path: Path, name: str, code: str) -> None:
    (finding,) = (one for one in told(tmp_path, stat=f"XfrmInError  \t0\n{name}\t3\n").findings if one.code != "no-ike")
    assert (finding.code, finding.severity, finding.evidence[0].number) == (code, Severity.WARNING, 2)
    assert finding.text.startswith("3 packets")


def test_what_an_sa_counted_is_not_told_again_for_the_kernel(tmp_path: Path) -> None:
    both = state(came=9, packets=9, replayed=3) + "XfrmInStateSeqError     \t3\n"
    assert [one.code for one in told(tmp_path, both=both).findings].count("packets-replayed") == 1


@given(st.text(alphabet="src dt0x123456789abcdef.:()\\\n\tproesaikl-wndyf,XfrmInStateSqE", max_size=400))
def test_no_text_raises(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "counters"
    path.write_text(text + "\nXfrmInNoStates 1\nsrc ::::: dst 1.2.3\nreplay-window 0 replay 1 failed 0\n")
    facts = read_counters(path, "counters")
    assert facts is not None
    assert explain([], [], [facts]).as_json()


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    for text in ("", "nothing of that\n", state().partition("\tstats")[0]):
        (tmp_path / "file").write_text(text)
        assert read_counters(tmp_path / "file", "file") is None
