"""Every question that IKEv2 leaves to the implementation, one method each; a deviation is an override.

The second half are places where a message can be looked at or changed on its way; a correct endpoint
leaves them alone, ``impair`` does not.
"""

from collections.abc import Sequence

from ipsectest.base.addresses import ANY_HOST, Address
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import NAT_T_PORT, NON_ESP_MARKER
from ipsectest.ike import proposals, selectors
from ipsectest.ike.checks import Check
from ipsectest.ike.config import ConnectionConfig, EndpointConfig, Identity, Suite
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.unsealed import Unsealed
from ipsectest.wire import SA, IDr, Message, Notify, Payload, Proposal, TrafficSelector

NONCE_LENGTH = 32
"""Octets: at least half the key size of any PRF here (RFC 7296 section 2.10)."""
MAX_ATTEMPTS = 8
"""TEMPORARY_FAILUREs in a row before a task is given up: minutes."""


class Policy:
    """The choices of a correct endpoint."""

    def checks(self, check: Check) -> bool:
        """Whether a validation is made at all."""
        del check
        return True

    def connection_for(self, config: EndpointConfig, local: Address, remote: Address) -> ConnectionConfig | None:
        """The connection that answers an IKE_SA_INIT request between these addresses."""
        matching = [c for c in config.connections if c.local.host == local.host]
        exact = [c for c in matching if c.remote.host == remote.host]
        return next(iter(exact or [c for c in matching if c.remote.host == ANY_HOST]), None)

    def connection_of(self, config: EndpointConfig, sa: IkeSa, request: Message) -> ConnectionConfig | None:
        """The connection whose identities an IKE_AUTH request names: IDi in ``sa.remote_identity``, IDr if present."""
        asked = request.get(IDr)
        for connection in (sa.connection, *config.connections):
            fits = connection.local.host == sa.local.host and connection.remote.host in {sa.remote.host, ANY_HOST}
            named = asked is None or connection.local_identity.is_same(Identity(asked.id_type, asked.data))
            wanted = connection.remote_identity
            if fits and named and (wanted is None or wanted.is_same(sa.remote_identity)):
                return connection
        return None

    def wants_cookie(self, half_open: int, config: EndpointConfig) -> bool:
        """Whether to demand a cookie with so many half-open IKE SAs (RFC 7296 section 2.6)."""
        return half_open >= config.cookie_threshold

    def first_group(self, offered: Sequence[Proposal]) -> int:
        """Key exchange method of the first KE payload: the first one offered, 0 without any."""
        return next(iter(proposals.groups(offered)), 0)

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        """The responder's choice of a suite; None: NO_PROPOSAL_CHOSEN."""
        return proposals.choose(offered, wanted, protocol, spi_size, self.checks)

    def accept(self, offered: Sequence[Proposal], answered: SA, spi_size: int) -> Chosen | None:
        """The initiator's view of the answered suite; None if it cannot be taken."""
        return proposals.accept(offered, answered, spi_size)

    def narrow(self, offered: Sequence[TrafficSelector], allowed: Sequence[TrafficSelector]) -> list[TrafficSelector]:
        """The responder's part of the offered selectors (RFC 7296 section 2.9); none: TS_UNACCEPTABLE."""
        return selectors.narrow(offered, allowed)

    def keeps_own(self, own: tuple[bytes, bytes], peers: tuple[bytes, bytes]) -> bool:
        """Whether ours of two rekeyed SAs survives: the lowest of four nonces loses (RFC 7296 section 2.8.1)."""
        return min(own) > min(peers)

    def nonce(self, random: RandomBytes) -> bytes:
        """Ni or Nr."""
        return random(NONCE_LENGTH)

    def moves_to_nat_port(self, sa: IkeSa) -> bool:
        """Initiator: whether to go on at port 4500 after IKE_SA_INIT (RFC 7296 section 2.23)."""
        return sa.local_behind_nat or sa.remote_behind_nat

    def encapsulates(self, sa: IkeSa) -> bool:
        """Whether ESP travels in UDP."""
        return sa.local.port == NAT_T_PORT and (sa.local_behind_nat or sa.remote_behind_nat)

    def substitutes(self, sa: IkeSa) -> bool:
        """Whether selectors of transport mode get the addresses of the IKE packets (RFC 7296 section 2.23.1)."""
        return sa.local_behind_nat or sa.remote_behind_nat

    def wait(self, config: EndpointConfig, transmissions: int) -> float | None:
        """Seconds until the next transmission of a request sent so many times; None: give up (RFC 7296 section 2.4)."""
        rule = config.retransmission
        if transmissions > rule.tries:
            return None
        return float(rule.initial * rule.base ** (transmissions - 1))

    def retry_after_temporary_failure(self, attempts: int, random: RandomBytes) -> float | None:
        """Seconds to wait after so many TEMPORARY_FAILUREs; None: give the task up (RFC 7296 section 2.25).

        Partly random: two ends that refuse each other must not meet again at the same instant.
        """
        if attempts > MAX_ATTEMPTS:
            return None
        return min(2.0 ** (attempts - 1), 60.0) * (0.5 + random(1)[0] / 255)

    def reports_bad_message_ids(self) -> bool:
        """Whether a request out of the window causes INVALID_MESSAGE_ID, optional (RFC 7296 section 2.3)."""
        return False

    def survives_failed_child(self) -> bool:
        """Whether the IKE SA goes on without a Child SA that could not be made (RFC 7296 sections 1.2 and 1.3.1)."""
        return True

    def window(self, sa: IkeSa) -> int:
        """Requests that we have outstanding at most (RFC 7296 section 2.3)."""
        return sa.peer_window

    def marker(self, local: Address) -> bytes:
        """What precedes IKE in a datagram that leaves from here (RFC 7296 section 2.23)."""
        return NON_ESP_MARKER if local.port == NAT_T_PORT else b""

    def reply_to(self, source: Address) -> Address:
        """Where a response goes: to where the request came from (RFC 7296 section 2.11)."""
        return source

    def repeats_responses_after(self) -> float | None:
        """Seconds after which a response is sent again unasked: never (RFC 7296 section 2.1)."""
        return None

    def believes(self, notify: Notify, *, awaited: bool) -> bool:
        """Whether an unprotected error notify ends an IKE SA (RFC 7296 section 2.21); ``awaited``: as our response."""
        del notify, awaited
        return False

    def answer_deletes(self, sa: IkeSa, request: Message, paired: Sequence[ChildSa]) -> list[tuple[int, bytes]]:
        """(protocol, SPI) of our Deletes in the response to Deletes (RFC 7296 section 1.4.1)."""
        del sa, request
        return [(child.protocol, child.spi_in) for child in paired]

    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        """An error notify for a request that is not to our liking as a whole."""
        del sa, request
        return None

    def out_of_window(self, request: Message) -> list[Payload] | None:
        """Payloads of a response to a request out of the window: there is none (RFC 7296 section 2.3)."""
        del request
        return None

    def succeed(self, old: IkeSa, new: IkeSa) -> None:
        """A rekeyed IKE SA takes its successor's first breath."""

    def opened(self, unsealed: Unsealed) -> bool:
        """Whether to go on with a message whose SK payload was opened."""
        del unsealed
        return True

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        """A message before it is looked at (plain payloads, opened if it had SK); None drops it."""
        del sa
        return message

    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        """A message with plain payloads before it is built or sealed; None sends nothing."""
        del sa
        return message

    def retransmission(self, sa: IkeSa, message: Message, octets: bytes, random: RandomBytes) -> bytes | None:
        """A request before it is sent again: the same octets (RFC 7296 section 2.1); None sends nothing."""
        del sa, message, random
        return octets
