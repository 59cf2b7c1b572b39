"""The prompt has Scapy and the layers in it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.utils import wrpcap

from ipsectest import layers
from ipsectest.base.errors import UsageError
from ipsectest.layers.shell import start_shell


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    yield
    layers.unbind()


def test_statements_see_scapy_and_the_layers(capsys: pytest.CaptureFixture[str]) -> None:
    stacked = "p = IP(dst='192.0.2.1')/UDP()/IKEv2()/IKEv2_Nonce(data=b'n' * 16)"
    statements = f"{stacked}; print(p[UDP].dport, wire.summary(to_message(p)))"
    assert start_shell(statements=statements) == 0
    assert capsys.readouterr().out == "500 IKE_SA_INIT request 0: Ni\n"


def test_failing_statements_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert start_shell(statements="IKEv2(nonsense=1)") == 1
    assert "nonsense" in capsys.readouterr().err


def test_a_capture_is_read_into_packets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers.bind()
    path = tmp_path / "one.pcap"
    wrpcap(str(path), [IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / layers.IKEv2() / layers.IKEv2_Delete()])
    assert start_shell(path, "print(packets[0][IKEv2_Delete].protocol)") == 0
    assert capsys.readouterr().out == "1\n"
    with pytest.raises(UsageError, match="missing"):
        start_shell(tmp_path / "missing.pcap", "")


def test_the_prompt_reads_lines() -> None:
    command = [
        sys.executable,
        "-c",
        "from ipsectest.layers.shell import start_shell; raise SystemExit(start_shell())",
    ]
    lines = "print(IKEv2_KE(group='ECP_256').show(dump=True))\n"
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert "ECP_256 (19)" in done.stdout
    assert "ipsectest shell" in done.stderr
    assert done.returncode == 0
