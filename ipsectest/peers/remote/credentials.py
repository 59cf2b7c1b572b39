"""The certificates and keys that the file of a remote peer names, read and checked to belong together."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from ipsectest.base.errors import InputError
from ipsectest.base.toml_tables import Table
from ipsectest.ike.config import KeyPair
from ipsectest.scenario.model import Facts
from ipsectest.scenario.ports import Authentication, Certificates

_SIZE_CAP = 1 << 20
_Read = TypeVar("_Read")


def own_pair(own: Table) -> tuple[Authentication, KeyPair] | None:
    """How we prove who we are, if with a certificate: its kind of key, chain and key."""
    if not {"certificate", "key"} & own.content.keys():
        return None
    from ipsectest.crypto import certificates as x509  # noqa: PLC0415 - X.509 costs start-up time

    chain = _read(own, "certificate", x509.load_certificates)
    key = _read(own, "key", x509.load_private_key)
    if x509.public_key_info(chain[0]) != x509.public_key_info(key.public_key()):
        own.fail("the key is not that of the first certificate", "key")
    if "id" not in own.content:
        own.fail(
            'id is missing: who we are, as our certificate says, such as id = "fqdn:tester.example"', "certificate"
        )
    kind = _told(own, "key", lambda: x509.kind_of(key))
    return Authentication(kind), KeyPair(tuple(x509.to_der(link) for link in chain), key)


def certificates(
    peer: Table, own: Table | None, pair: tuple[Authentication, KeyPair] | None, at: datetime, facts: Facts | None
) -> Certificates | None:
    """What we show and whom we trust; None if both ends use a pre-shared key."""
    if facts is None:
        for table, key in ((peer, "trust"), (own, "certificate")):
            if table is not None and key in table.content:
                table.fail("an adapter that configures the peer is given certificates: those of the run", key)
        return None
    is_signed = facts["auth"] is not Authentication.PSK
    if is_signed and "trust" not in peer.content:
        peer.fail("trust is missing: the file of the CA certificates that the peer's certificate chains to", "auth")
    if not is_signed and pair is None:
        return None
    anchors: tuple[bytes, ...] = ()
    if "trust" in peer.content:
        from ipsectest.crypto import certificates as x509  # noqa: PLC0415

        anchors = tuple(x509.to_der(anchor) for anchor in _read(peer, "trust", x509.load_certificates))
    return Certificates("", "", {pair[0]: pair[1]} if pair else {}, anchors, at)


def beside(table: Table, text: str) -> Path:
    """A path in the file is meant from where the file is."""
    return table.file.parent / Path(text).expanduser()


def contents(table: Table, key: str) -> bytes:
    """The octets of the file that a key names."""
    path = beside(table, table.get(key, str))
    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_CAP + 1)
    except (OSError, ValueError) as error:
        table.fail(f"{path}: {getattr(error, 'strerror', None) or error}", key)
    if len(data) > _SIZE_CAP:
        table.fail(f"{path}: more than a megabyte", key)
    return data


def _read(table: Table, key: str, load: Callable[[bytes], _Read]) -> _Read:
    data = contents(table, key)
    return _told(table, key, lambda: load(data))


def _told(table: Table, key: str, make: Callable[[], _Read]) -> _Read:
    """What ``make`` gives; what it complains about is told at the key."""
    try:
        return make()
    except InputError as error:
        table.fail(error.message, key)
