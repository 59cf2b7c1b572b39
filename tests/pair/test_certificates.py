"""Authentication with certificates: every key type, both kinds of method, chains and refusals."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ipsectest.base.errors import InputError
from ipsectest.base.iana import AuthenticationMethod as Method
from ipsectest.base.iana import IdentificationType, NotifyType
from ipsectest.crypto import pki
from ipsectest.crypto.certificates import subject_der
from ipsectest.ike.auth import requested_authorities
from ipsectest.ike.config import Identity, KeyPair, TrustAnchors
from ipsectest.ike.events import IkeClosed, IkeEstablished
from ipsectest.ike.states import State
from ipsectest.wire import CERTREQ, Message
from tests.pair.world import PSK, World, connection

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RANDOM = random.Random(7).randbytes


@pytest.fixture(scope="module")
def tree() -> pki.TestPki:
    return pki.generate(["alice.example", "bob.example"], NOW, RANDOM)


def pair(credential: pki.Credential, method: int | None = None) -> KeyPair:
    chain = (credential.certificate_der, *(pki.to_der(link) for link in credential.chain))
    return KeyPair(chain, credential.key, method)


def world_of(tree: pki.TestPki, alice: str, bob: str, method: int | None = None, **config: object) -> World:
    anchors = TrustAnchors(tuple(pki.to_der(anchor) for anchor in tree.anchors), NOW)
    ends = [
        connection(
            at_alice=name == "alice",
            local_auth=pair(tree.credentials[f"{name}.example/{kind}"], method),
            remote_auth=anchors,
        )
        for name, kind in (("alice", alice), ("bob", bob))
    ]
    return World(alice=ends[0], bob=ends[1], **config)


@pytest.mark.parametrize("kind", pki.KEY_TYPES)
def test_every_key_type_authenticates_both_ends_with_method_14(tree: pki.TestPki, kind: str) -> None:
    world = world_of(tree, kind, kind)
    world.establish()
    world.agree()


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("rsa2048", Method.RSA_DIGITAL_SIGNATURE),
        ("ecdsa256", Method.ECDSA_SHA256_P256),
        ("ecdsa384", Method.ECDSA_SHA384_P384),
        ("ecdsa521", Method.ECDSA_SHA512_P521),
    ],
)
def test_legacy_methods_authenticate(tree: pki.TestPki, kind: str, method: int) -> None:
    world = world_of(tree, kind, "ecdsa256", None)
    auth = pair(tree.credentials[f"alice.example/{kind}"], method)
    world.alice.connection = replace(world.alice.connection, local_auth=auth)
    world.establish()
    world.agree()


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa384"])
def test_without_announced_hashes_the_legacy_method_of_the_key_is_used(tree: pki.TestPki, kind: str) -> None:
    world = world_of(tree, kind, kind, impairments=(("uses-method-1",), ("uses-method-1",)))
    world.establish()
    world.agree()


def test_chain_is_sent_and_followed(tree: pki.TestPki) -> None:
    world = world_of(tree, "intermediate", "intermediate")
    world.establish()
    world.agree()


def test_psk_and_certificate_can_be_mixed(tree: pki.TestPki) -> None:
    world = world_of(tree, "ecdsa256", "ecdsa256")
    secret = connection(at_alice=True).local_auth
    world.alice.connection = replace(world.alice.connection, local_auth=secret)
    bob = replace(world.bob.connection, remote_auth=secret)
    mixed = World(alice=world.alice.connection, bob=bob)
    mixed.establish()
    mixed.agree()


@pytest.mark.parametrize("kind", ["expired", "not-yet", "untrusted", "wrong-san", "no-san"])
def test_bad_certificate_of_the_initiator_is_authentication_failed(tree: pki.TestPki, kind: str) -> None:
    world = world_of(tree, kind, "ecdsa256")
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.settle()
    (closed,) = world.alice.seen(IkeClosed)
    assert NotifyType.AUTHENTICATION_FAILED.name in closed.reason
    assert not world.bob.seen(IkeEstablished)
    assert world.closed()


@pytest.mark.parametrize("kind", ["expired", "untrusted", "wrong-san"])
def test_bad_certificate_of_the_responder_is_told_and_ends_both(tree: pki.TestPki, kind: str) -> None:
    world = world_of(tree, "ecdsa256", kind)
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.settle()
    assert not world.alice.seen(IkeEstablished)
    assert world.closed()


def test_certificate_request_names_the_anchors(tree: pki.TestPki) -> None:
    world = world_of(tree, "ecdsa256", "ecdsa256")
    world.establish()
    assert len(world.alice.ike().requested_authorities) == 20
    assert world.alice.ike().requested_authorities == world.bob.ike().requested_authorities


def test_identity_may_be_the_subject_of_the_certificate(tree: pki.TestPki) -> None:

    world = world_of(tree, "ecdsa256", "ecdsa256")
    subject = subject_der(tree.credentials["alice.example/ecdsa256"].certificate)
    name = Identity(IdentificationType.ID_DER_ASN1_DN, subject)
    alice = replace(world.alice.connection, local_identity=name)
    bob = replace(world.bob.connection, remote_identity=name)
    named = World(alice=alice, bob=bob)
    named.establish()
    named.agree()


def test_method_that_does_not_fit_the_key_is_an_input_error(tree: pki.TestPki) -> None:

    with pytest.raises(InputError):
        pair(tree.credentials["alice.example/ed25519"], Method.RSA_DIGITAL_SIGNATURE)


@pytest.mark.parametrize("trusted", ["first", "second", "neither"])
@pytest.mark.parametrize("chooser", ["alice", "bob"])
def test_certreq_decides_between_certificates(tree: pki.TestPki, trusted: str, chooser: str) -> None:
    other, stranger = (pki.generate(["alice.example", "bob.example"], NOW, RANDOM) for _ in range(2))
    trees = {"first": tree, "second": other, "neither": stranger}
    roots = {name: TrustAnchors((pki.to_der(one.anchors[0]),), NOW) for name, one in trees.items()}
    name = f"{chooser}.example/ecdsa256"
    keys = [replace(pair(one.credentials[name]), anchor=pki.to_der(one.anchors[0])) for one in (tree, other)]
    choosing = {"local_auth": keys[0], "other_keys": (keys[1],), "remote_auth": PSK}
    asking = {"local_auth": PSK, "remote_auth": roots[trusted]}
    is_alice = chooser == "alice"
    alice, bob = (choosing, asking)[:: 1 if is_alice else -1]
    world = World(alice=connection(at_alice=True, **alice), bob=connection(at_alice=False, **bob))
    sa = world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.settle()
    if trusted == "neither":
        assert "ipsectest root" in (world.bob if is_alice else world.alice).seen(IkeClosed)[0].reason
        assert sa.state is State.CLOSED
    else:
        world.agree()
        assert sa.state is State.ESTABLISHED


def test_certreq_for_other_encodings_names_no_authority() -> None:
    asked = Message(payloads=[CERTREQ(4, b"a" * 20), CERTREQ(1, b"b" * 20), CERTREQ(4, b"c" * 40)])
    assert requested_authorities(asked) == b"a" * 20 + b"c" * 40
