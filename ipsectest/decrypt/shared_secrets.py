"""Shared secrets of key exchanges: g^ir as a file tells it, or out of one side's private value and the other's KE."""

from collections.abc import Iterable

from ipsectest.crypto import InvalidPublicValueError, KeyShare, UnsupportedAlgorithmError, key_exchange
from ipsectest.decrypt.keys.model import DhKeys


class SharedSecrets:
    """Found by the public values, which the capture has."""

    def __init__(self, keys: Iterable[DhKeys] = ()) -> None:
        self.unusable: list[tuple[DhKeys, str]] = []
        """Values with the reason why they are none."""
        self._secrets: dict[bytes, bytes] = {}
        self._shares: dict[bytes, KeyShare] = {}
        self._known: set[DhKeys] = set()
        for one in keys:
            self.add(one)

    def add(self, one: DhKeys) -> None:
        """Take a value into use, once."""
        if one in self._known:
            return
        self._known.add(one)
        if one.secret:
            self._secrets[one.public] = one.secret
            return
        try:
            share = key_exchange(one.group).from_private(one.private)
        except (UnsupportedAlgorithmError, ValueError) as error:
            self.unusable.append((one, str(error)))
        else:
            self._shares[share.public] = share

    def find(self, public_i: bytes, public_r: bytes) -> bytes | None:
        """The secret of an exchange with these KE data, if it is known."""
        for mine, theirs in ((public_i, public_r), (public_r, public_i)):
            if mine in self._secrets:
                return self._secrets[mine]
            if mine in self._shares:
                try:
                    return self._shares[mine].finish(theirs)
                except InvalidPublicValueError:
                    continue
        return None
