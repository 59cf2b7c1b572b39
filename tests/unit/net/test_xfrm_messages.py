"""Messages of XFRM against the octets of iproute2 (xfrm_octets.txt), and there and back by property."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.net.xfrm import (
    Aead,
    Authentication,
    Encapsulation,
    ExtraFlag,
    Iptfs,
    KmAddress,
    Lifetimes,
    Mark,
    Migration,
    Offload,
    OffloadFlag,
    Policy,
    PolicyFlag,
    Replay,
    SecurityContext,
    Selector,
    State,
    StateFlag,
    Template,
    XfrmError,
    encryption,
    integrity,
)
from ipsectest.net.xfrm import messages as wire
from ipsectest.net.xfrm.constants import MODES, MessageType, number_of, word_of
from ipsectest.net.xfrm.filters import AddressFilter
from ipsectest.net.xfrm.policies import policy_identity_message, policy_message, policy_of
from ipsectest.net.xfrm.records import ReplayWindow
from ipsectest.net.xfrm.states import identity_message, state_message, state_of
from ipsectest.net.xfrm.statistics import parse_statistics

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
OCTETS = {
    name: bytes.fromhex("".join(line for line in lines.splitlines() if not line.startswith("#")))
    for name, _, lines in (
        block.partition("]\n") for block in (Path(__file__).parent / "xfrm_octets.txt").read_text().split("\n[")[1:]
    )
}

STATES = {
    "aead": State(
        src="192.0.2.1",
        dst="192.0.2.2",
        spi=0x1001,
        reqid=7,
        mode="tunnel",
        replay_window=32,
        aead=("rfc4106(gcm(aes))", bytes(range(20)), 128),
    ),
    "esn": State(
        src="2001:db8::1",
        dst="2001:db8::2",
        spi=0xC0FFEE01,
        replay_window=128,
        esn=True,
        replay=Replay(oseq=0x2_0000_0020, seq=0x1_0000_0010),
        auth=("hmac(sha256)", b"\x11" * 32, 128),
        crypt=("cbc(aes)", b"\x22" * 16),
        selector=Selector("2001:db8:1::/48", "2001:db8:2::/48", 17, 500, 4500),
    ),
    "udp": State(
        src="192.0.2.1",
        dst="198.51.100.2",
        spi=0x2002,
        mode="tunnel",
        auth=("hmac(sha1)", b"\x33" * 20, 0),
        crypt=("ecb(cipher_null)", b""),
        encap=("espinudp", 4500, 14500, ""),
        mark=(5, 0xFF),
        output_mark=(6, 0xF0),
        if_id=42,
        limits=Lifetimes(1000, 2000, 10, 20, 30, 40, 50, 60),
        flags=StateFlag.NOPMTUDISC | StateFlag.ALIGN4,
        extra_flags=ExtraFlag.OSEQ_MAY_WRAP,
    ),
    "comp": State(src="192.0.2.1", dst="192.0.2.2", spi=0x3003, proto="comp", comp=("deflate", b"")),
    "update": State(
        src="192.0.2.1",
        dst="192.0.2.2",
        spi=0x4004,
        proto="ah",
        seq=0x09000000,  # iproute2 swaps it; the kernel takes and tells it in host order
        auth=("hmac(sha512)", b"\x44" * 64, 256),
    ),
}
POLICIES = {
    "policy": Policy(
        selector=Selector("198.51.100.0/24", "203.0.113.0/24", 6, None, 443),
        dir="out",
        priority=17,
        mark=(1, 3),
        if_id=9,
        flags=PolicyFlag.LOCALOK | PolicyFlag.ICMP,
        limits=Lifetimes(hard_packets=5),
        templates=(
            Template("192.0.2.1", "192.0.2.2", mode="tunnel", reqid=3),
            Template(proto="ah", optional=True),
        ),
    ),
    "block": Policy(selector=Selector("2001:db8:1::/48", "2001:db8:2::/48"), dir="fwd", action="block"),
}


def encoded(message: Any, kind: int = 0) -> bytes:
    message["header"]["type"] = kind
    message.encode()
    return bytes(message.data)


def parts(octets: bytes, body: int) -> tuple[bytes, dict[int, bytes]]:
    """Fixed part and attributes, whose order says nothing."""
    attributes, at = {}, 16 + body
    while at < len(octets):
        length, kind = struct.unpack_from("=HH", octets, at)
        value = octets[at + 4 : at + length]
        # iproute2 leaves the words of an ESN window out, which means zero.
        attributes[kind] = value.rstrip(b"\0") if kind == 23 else value
        at += -(-length // 4) * 4
    return octets[16 : 16 + body], attributes


def decoded(octets: bytes) -> Any:
    (message,) = wire.MarshalXfrm().parse(octets)
    assert message["header"]["error"] is None
    return message


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (wire.UserSaInfo, 224),
        (wire.UserSaId, 24),
        (wire.UserSpiInfo, 232),
        (wire.UserPolicyInfo, 168),
        (wire.UserPolicyId, 64),
        (wire.UserAcquire, 280),
        (wire.UserExpire, 232),
        (wire.UserPolicyExpire, 176),
        (wire.AsyncEventId, 48),
        (wire.UserReport, 60),
        (wire.UserMapping, 64),
        (wire.UserPolicyDefault, 4),
        (wire.XfrmMessage, 0),
    ],
)
def test_structures_have_the_size_of_the_kernels(message: Any, size: int) -> None:
    fields = message.fields
    assert size == sum(struct.calcsize(f) if isinstance(f, str) else f.LAYOUT.size for _, f in fields)


@pytest.mark.parametrize("name", STATES)
def test_states_are_what_iproute2_sends(name: str) -> None:
    assert parts(encoded(state_message(STATES[name])), 224) == parts(OCTETS[name], 224)


@pytest.mark.parametrize("name", STATES)
def test_states_of_iproute2_are_read(name: str) -> None:
    read = state_of(decoded(OCTETS[name]))
    assert read == STATES[name]
    assert read.replay[:2] == STATES[name].replay[:2]


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_what_iproute2_sends(name: str) -> None:
    assert parts(encoded(policy_message(POLICIES[name])), 168) == parts(OCTETS[name], 168)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_of_iproute2_are_read(name: str) -> None:
    assert policy_of(decoded(OCTETS[name])) == POLICIES[name]


def test_deletions_are_what_iproute2_sends() -> None:
    state = State(src="192.0.2.1", dst="192.0.2.2", spi=0x1001, mark=(5, 255))
    assert parts(encoded(identity_message(state)), 24) == parts(OCTETS["delete"], 24)
    policy = Policy(selector=Selector("198.51.100.0/24", "203.0.113.0/24"), dir="out")
    assert parts(encoded(policy_identity_message(policy)), 64) == parts(OCTETS["forget"], 64)


@given(
    st.builds(
        State,
        src=st.ip_addresses(v=4).map(str),
        dst=st.ip_addresses(v=4).map(str),
        spi=U32,
        proto=st.sampled_from(["esp", "ah", "comp", "77"]),
        mode=st.sampled_from(list(MODES)),
        reqid=U32,
        aead=st.none() | st.builds(Aead, st.text("abc(,)", max_size=63), st.binary(max_size=40), st.integers(0, 256)),
        auth=st.none() | st.builds(Authentication, st.just("hmac(x)"), st.binary(max_size=64), st.integers(0, 512)),
        esn=st.booleans(),
        replay_window=st.integers(0, 4096),
        limits=st.builds(Lifetimes, st.none() | st.integers(0, 2**64 - 2), hard_seconds=st.none() | st.integers(1, 99)),
        mark=st.none() | st.builds(Mark, U32, U32),
        offload=st.none() | st.builds(Offload, st.integers(0, 9), st.just(OffloadFlag.INBOUND)),
        security_context=st.none() | st.builds(SecurityContext, st.text("a:_", max_size=40), U8, U8),
        dir=st.sampled_from(["", "in", "out"]),
        keepalive=st.integers(0, 60),
        tfc_padding=st.integers(0, 1500),
        cpu=st.none() | st.integers(0, 7),
        iptfs=st.none() | st.builds(Iptfs, U32, st.none() | U16, st.none() | U32, U32, st.none(), st.booleans()),
    )
)
def test_states_come_back_as_they_went(state: State) -> None:
    state = replace(state, replay_window=state.replay_window if state.esn else state.replay_window % 256)
    assert state_of(decoded(encoded(state_message(state), MessageType.NEWSA))) == state


@given(st.lists(U32, max_size=128).map(tuple), st.integers(0, 2**64 - 1), st.integers(0, 4096))
def test_esn_windows_come_back_as_they_went(bitmap: tuple[int, ...], number: int, window: int) -> None:
    words = -(-window // 32)
    read = ReplayWindow.unpack(ReplayWindow(Replay(number, number, bitmap), window).pack())
    assert read.window == window
    assert read.state == Replay(number, number, (*bitmap, *[0] * words)[:words])


@pytest.mark.parametrize(
    "record",
    [
        Migration("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", reqid=7),
        KmAddress("192.0.2.1", "192.0.2.2"),
        AddressFilter("192.0.2.0/24", "203.0.113.1/32"),
        AddressFilter(dst="2001:db8::/32"),
        Template("2001:db8::1", "2001:db8::2", mode="tunnel", spi=9, share="unique", optional=True, calgos=1),
        Encapsulation("espintcp", 4500, 80, "2001:db8::9"),
        Encapsulation("espinudp", 4500, 80, "192.0.2.9"),
        Selector("192.0.2.0/24", "0.0.0.0/0", 1, 8, 0, ifindex=4, user=1000),
        Selector("192.0.2.0/24", "203.0.113.0/24", 17, 0x1100, None, sport_mask=0xFF00),
        Selector(),
    ],
)
def test_records_come_back_as_they_went(record: Any) -> None:
    assert type(record).unpack(record.pack()) == record


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(dst="192.0.2.1", mode="tunel"), "'tunel' is none of transport, tunnel"),
        (State(dst="192.0.2.1", spi=1 << 32), "an SPI is a number of 32 bits"),
        (State(dst="192.0.2.300"), "192.0.2.300"),
        (State(dst="192.0.2.1", selector=Selector("192.0.2.1/24", "192.0.2.0/24")), "host bits"),
        (State(dst="192.0.2.1", selector=Selector("192.0.2.0/24", "2001:db8::/32")), "one IP version"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(state: State, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encoded(state_message(state))


def test_numbers_without_a_word_keep_their_digits() -> None:
    assert word_of(MODES, 99) == "99"
    assert number_of(MODES, "99") == 99


def test_iana_numbers_have_kernel_names_with_the_icv_of_their_rfc() -> None:
    assert encryption(20, bytes(20)) == ("rfc4106(gcm(aes))", bytes(20), 128)
    assert encryption(18, bytes(20)) == ("rfc4106(gcm(aes))", bytes(20), 64)
    assert encryption(12, bytes(16)) == ("cbc(aes)", bytes(16))
    assert integrity(12, bytes(32)) == ("hmac(sha256)", bytes(32), 128)  # the kernel's own choice is 96
    with pytest.raises(ValueError, match="no ESP encryption algorithm 30"):
        encryption(30, b"")
    with pytest.raises(ValueError, match="no integrity algorithm 9"):
        integrity(9, b"")


def test_errors_name_request_text_and_number() -> None:
    error = XfrmError(38, "Requested type not found", "adding state 192.0.2.2 esp 0x00001001")
    assert str(error) == "adding state 192.0.2.2 esp 0x00001001: Requested type not found (ENOSYS)"
    assert (error.code, error.text) == (38, "Requested type not found")
    assert str(XfrmError(3)) == "No such process (ESRCH)"


def test_statistics_are_names_and_numbers() -> None:
    assert parse_statistics("XfrmInError \t0\nXfrmInNoStates\t\t12\njunk\n") == {"XfrmInError": 0, "XfrmInNoStates": 12}
