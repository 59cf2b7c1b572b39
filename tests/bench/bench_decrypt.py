"""``ipsectest decrypt`` against tshark, Scapy and a C program that does nothing else: CPU time of whole processes.

A million packets (``IPSECTEST_BENCH_PACKETS``) of ten SAs, IPv4 and IPv6, plain and in UDP, inner packets of 64, 512
and 1400 octets; every contestant writes the inner packets to a file.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.integrities import integrity
from ipsectest.ipsec.inner import UdpPacket, build_udp_packet
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import SecurityAssociation

PACKETS = int(os.environ.get("IPSECTEST_BENCH_PACKETS", "1000000"))
SCAPY_PACKETS = 3000
SAS = 10
SIZES = (64, 512, 1400)
SUITES = ("aes256gcm16", "chacha20poly1305", "aes256-sha256")
LIMIT_NAMES = {
    "aes256gcm16": "aes-256-gcm", "chacha20poly1305": "chacha20-poly1305", "aes256-sha256": "aes-256-cbc",
}  # fmt: skip
WIRESHARK = {
    "aes256gcm16": ("AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
    "aes256-sha256": ("AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
}
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass
class Material:
    """A capture and the keys for each contestant."""

    suite: str
    capture: Path
    keys: Path
    limit_keys: Path
    profile: Path
    sas: list[SecurityAssociation]


def associations(suite: str, draw: Any) -> Iterator[SecurityAssociation]:
    specs = {spec.type: spec for spec in parse_suite(suite)}
    encryption, check = specs[TransformType.ENCR], specs.get(TransformType.INTEG)
    for number in range(SAS):
        ends = ("2001:db8::1", "2001:db8::2") if number % 2 else ("192.0.2.1", "192.0.2.2")
        yield SecurityAssociation(
            spi=(0xC0000000 + number).to_bytes(4, "big"), source=ends[0], destination=ends[1], encryption=encryption,
            encryption_key=draw(cipher(encryption.id, encryption.key_length).keymat_length), integrity=check,
            integrity_key=draw(integrity(check.id).key_length) if check else b"",
            udp_ports=(4500, 4500) if number % 4 >= 2 else None,
        )  # fmt: skip


def material(suite: str, folder: Path, count: int) -> Material:
    draw = random.Random(1).randbytes
    sas = list(associations(suite, draw))
    inner = [build_udp_packet(UdpPacket("10.1.0.10", 40000, "10.2.0.20", 5001, bytes(size - 28))) for size in SIZES]
    capture = folder / f"{suite}.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(count):
            sa = sas[number % SAS]
            packet = protect(sa, inner[number % len(inner)], draw)
            frame = bytes(12) + (b"\x86\xdd" if ":" in sa.source else b"\x08\x00") + packet
            when = 1_700_000_000 + number // 1_000_000, number % 1_000_000
            file.write(struct.pack("<IIII", *when, len(frame), len(frame)) + frame)
    return Material(suite, capture, *_key_files(suite, folder, sas), sas)


def _key_files(suite: str, folder: Path, sas: list[SecurityAssociation]) -> tuple[Path, Path, Path]:
    keys, limit, profile = folder / f"{suite}.toml", folder / f"{suite}.keys", folder / f"{suite}.wireshark"
    profile.mkdir()
    ours, plain, rows = [], [], []
    for sa in sas:
        key, key_a = sa.encryption_key.hex(), sa.integrity_key.hex()
        ours.append(
            f'[[esp]]\nsource = "{sa.source}"\ndestination = "{sa.destination}"\nspi = "{sa.spi.hex()}"\n'
            f'suite = "{suite}"\nencryption_key = "{key}"\nintegrity_key = "{key_a}"\nesn = false\n'
        )
        plain.append(f"{sa.spi.hex()} {LIMIT_NAMES[suite]} {key} {'sha256 ' + key_a if key_a else '- -'} 16\n")
        if suite in WIRESHARK:
            encryption, authentication = WIRESHARK[suite]
            version = "IPv6" if ":" in sa.source else "IPv4"
            row = (version, sa.source, sa.destination, f"0x{sa.spi.hex()}", encryption, f"0x{key}", authentication)
            rows.append(",".join(f'"{column}"' for column in (*row, f"0x{key_a}" if key_a else "")) + "\n")
    keys.write_text("".join(ours))
    limit.write_text("".join(plain))
    (profile / "esp_sa").write_text("".join(rows))
    return keys, limit, profile


def cpu_seconds(argv: list[str], **environment: str) -> float:
    """User and system time of a process that must succeed."""
    with subprocess.Popen(
        argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        error = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]} exited with {process.returncode}: {error.decode()[-300:]}")
    return usage.ru_utime + usage.ru_stime


def ours(made: Material, out: Path) -> float:
    return cpu_seconds(
        [sys.executable, "-m", "ipsectest.cli.main", "decrypt", str(made.capture), "-k", str(made.keys), "-o", str(out)]
    )


def tshark(made: Material, out: Path) -> float:
    options = ["-o", "esp.enable_encryption_decode:TRUE", "-U", "OSI layer 3"]
    return cpu_seconds(
        ["tshark", "-n", "-r", str(made.capture), *options, "-w", str(out)], WIRESHARK_CONFIG_DIR=str(made.profile)
    )


def limit(made: Material, out: Path, folder: Path) -> float:
    program = folder / "esp_limit"
    if not program.exists():
        source = str(HERE / "esp_limit.c")
        subprocess.run(["cc", "-O2", "-w", "-o", str(program), source, "-lcrypto"], check=True, timeout=120)
    return cpu_seconds([str(program), str(made.capture), str(made.limit_keys), str(out)])


def scapy(made: Material, out: Path) -> float:
    """Seconds that Scapy would take for all packets, from a part of them."""
    from scapy.layers.inet import IP
    from scapy.layers.ipsec import ESP
    from scapy.layers.ipsec import SecurityAssociation as ScapySa
    from scapy.layers.l2 import Ether
    from scapy.utils import PcapReader, PcapWriter

    sas = {
        int.from_bytes(sa.spi, "big"): ScapySa(
            ESP, int.from_bytes(sa.spi, "big"), crypt_algo="AES-GCM", crypt_key=sa.encryption_key
        )
        for sa in made.sas
        if ":" not in sa.source and not sa.udp_ports  # the others cost Scapy more, or are not opened by it
    }
    done, start = 0, time.process_time()
    with PcapReader(str(made.capture)) as reader, PcapWriter(str(out), linktype=101) as writer:
        for frame in reader:
            if ESP in frame and frame[ESP].spi in sas and isinstance(frame, Ether) and IP in frame:
                writer.write(sas[frame[ESP].spi].decrypt(frame[IP]))
                done += 1
            if done == SCAPY_PACKETS:
                break
    return (time.process_time() - start) / done * PACKETS


def benchmarks() -> list[dict[str, Any]]:
    """CPU microseconds a packet, and how many times ours the others take."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ipsectest-bench-") as name:
        folder = Path(name)
        out = folder / "out"
        nearest = 0.0
        for suite in SUITES:
            made = material(suite, folder, PACKETS)
            mine = min(ours(made, out) for _ in range(2))
            others = {"C over libcrypto": limit(made, out, folder)}
            if suite in WIRESHARK and shutil.which("tshark"):
                nearest = others["tshark -U -w"] = tshark(made, out)
            elif nearest:  # tshark knows no ChaCha20-Poly1305; AES-GCM is the nearest
                others["tshark -U -w, AES-GCM"] = nearest
            if suite == SUITES[0]:
                others["Scapy"] = scapy(made, out)
            rows.append(_row(f"decrypt {suite}", mine, None, None))
            rows += [_row(f"decrypt {suite}", mine, other / mine, name) for name, other in others.items()]
            made.capture.unlink()
    return rows


def _row(name: str, seconds: float, ratio: float | None, against: str | None) -> dict[str, Any]:
    return {"name": name, "value": seconds / PACKETS * 1e6, "unit": "us/packet", "ratio": ratio, "against": against}
