"""Every automatic field can be forced, and impossible values are refused in words."""

import copy

import pytest

from ipsectest import wire
from tests.unit.wire import samples


def structures(message: wire.Message) -> list[tuple[str, object, tuple[wire.Field, ...]]]:
    """Every structure of a message with the path of its spans and its table."""
    found: list[tuple[str, object, tuple[wire.Field, ...]]] = [("", message, message.FIELDS)]
    pending = [(f"payloads[{n}].", p, wire.GENERIC_HEADER + p.FIELDS) for n, p in enumerate(message.payloads)]
    while pending:
        path, structure, table = pending.pop()
        found.append((path, structure, table))
        for field in table:
            if field.form is wire.Form.STRUCTURES:
                items = enumerate(getattr(structure, field.name))
                pending += [(f"{path}{field.name}[{n}].", item, item.FIELDS) for n, item in items]
    return found


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_every_automatic_field_is_written_as_given_and_comes_back(name: str) -> None:
    original = samples.MESSAGES[name]
    for place, (path, _, table) in enumerate(structures(original)):
        for field in table:
            if not field.automatic:
                continue
            for number in (0, 1, 7, (1 << 8 * field.width) - 1):
                message = copy.deepcopy(original)
                setattr(structures(message)[place][1], field.name, number)
                data = wire.build_message(message)
                start, end = message.spans[path + field.name]
                assert int.from_bytes(data[start:end]) == number
                assert wire.build_message(wire.parse_message(data)) == data


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_parsing_leaves_automatic_what_the_builder_would_write(name: str) -> None:
    parsed = wire.parse_message(wire.build_message(samples.MESSAGES[name]))
    for path, structure, table in structures(parsed):
        for field in table:
            assert not field.automatic or getattr(structure, field.name) is None, path + field.name


@pytest.mark.parametrize(
    "payload",
    [
        wire.Nonce(b"", length=65536),
        wire.KE(-1, b""),
        wire.IDi(256, b""),
        wire.CERT(256, b""),
        wire.AUTH(1, b"", body_reserved=1 << 24),
        wire.SA([wire.Proposal(1, 1, transforms=[wire.Transform(1, 65536)])]),
        wire.SA([wire.Proposal(1, 1, transforms=[wire.Transform(1, 1)] * 256)]),
        wire.Nonce(bytes(65532)),
    ],
)
def test_what_does_not_fit_is_refused(payload: wire.Payload) -> None:
    with pytest.raises(wire.BuildError, match=f"payload 0 .{type(payload).__name__}."):
        wire.build_message(wire.Message(payloads=[payload]))


def test_header_and_single_structures_refuse_too() -> None:
    with pytest.raises(wire.BuildError, match="IKE header"):
        wire.build_message(wire.Message(message_id=1 << 32))
    with pytest.raises(wire.BuildError, match="Transform"):
        wire.build_structure(wire.Transform(300, 1))


def test_messages_answer_for_their_payloads() -> None:
    message = samples.MESSAGES["sa_init_request"]
    assert message.get(wire.KE) is message.payloads[1]
    assert message.get(wire.Delete) is None
    assert len(message.all(wire.Notify)) == 3
    assert message.notify(16431) == wire.Notify(16431, bytes.fromhex("000200030004"))
    assert message.notify(1) is None
    assert message.from_initiator
    assert not message.is_response
    assert samples.MESSAGES["cookie"].is_response


def test_proposals_and_selectors_speak_suites_and_addresses() -> None:
    proposal = samples.proposal(1, 1, "aes256-sha256-x25519")
    assert [str(spec) for spec in proposal.specs] == ["aes256", "sha256", "x25519"]
    assert wire.Transform(1, 12, [wire.Attribute(14, b"\x01\x00")]).key_length is None
    assert wire.Transform(1, 12, [wire.Attribute(13, 1), wire.Attribute(14, 192)]).key_length == 192
    one = wire.TrafficSelector.of("2001:db8::1", 6, (443, 443))
    assert (one.ts_type, one.start, one.end) == (8, one.end, one.start)
    assert str(wire.TrafficSelector.of("192.0.2.1-192.0.2.9")) == "192.0.2.1-192.0.2.9 protocol 0 ports 0-65535"


def test_build_error_names_the_place_of_the_payload() -> None:
    chain = [wire.Nonce(b""), wire.Nonce(b""), wire.KE(1 << 16, b""), wire.Nonce(b"")]
    with pytest.raises(wire.BuildError, match=r"payload 2 \(KE\)"):
        wire.build_payloads(chain)
