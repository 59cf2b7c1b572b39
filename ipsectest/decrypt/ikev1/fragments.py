"""IKEv1 messages in Cisco's fragments: payload 132 with ID, number from 1, and a flag on the last one."""

from collections import OrderedDict
from dataclasses import dataclass, field

from ipsectest.base.iana_ikev1 import PayloadV1
from ipsectest.decrypt.ikev1.messages import Isakmp, first_part

MOST_PARTIAL = 256
MOST_OCTETS = 1 << 18
"""Of one message."""
_HEAD = 4


@dataclass(slots=True)
class _Partial:
    total: int = 0
    """0 until the last one came."""
    size: int = 0
    parts: dict[int, bytes] = field(default_factory=dict)


class FragmentsV1:
    """Fragmented messages on their way; strongSwan's have all the same ID, so their sender tells them apart."""

    def __init__(self) -> None:
        self._partial: OrderedDict[tuple[bytes, bytes, bytes, str], _Partial] = OrderedDict()

    def take(self, message: Isakmp, source: str) -> bytes | None:
        """The octets of the whole message, None until it is complete."""
        body = first_part(message.parts, PayloadV1.FRAGMENT)
        if len(body) < _HEAD or not body[2]:
            return None
        name = message.cookie_i, message.cookie_r, body[:2], source
        partial = self._partial.setdefault(name, _Partial())
        self._partial.move_to_end(name)
        while len(self._partial) > MOST_PARTIAL:
            self._partial.popitem(last=False)
        number, data = body[2], body[_HEAD:]
        partial.size += len(data) - len(partial.parts.get(number, b""))
        partial.parts[number] = data
        if body[3] & 1:
            partial.total = number
        if partial.size > MOST_OCTETS:
            del self._partial[name]
            return None
        if not partial.total or any(n not in partial.parts for n in range(1, partial.total + 1)):
            return None
        del self._partial[name]
        return b"".join(partial.parts[n] for n in range(1, partial.total + 1))
