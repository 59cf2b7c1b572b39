"""Whether the AUTH payload of a message proves who sent it (RFC 7296 section 2.15, RFC 7427 section 4)."""

from ipsectest.base.iana import AuthenticationMethod, ExchangeType, HashAlgorithm, PayloadType, name_of
from ipsectest.crypto.signature import SignatureScheme
from ipsectest.ike import auth
from ipsectest.ike.context import Context
from ipsectest.ike.ike_sa_init import announced_hashes
from ipsectest.ike.sa import IkeSa
from ipsectest.scenario.model import MessagePattern
from ipsectest.wire import AUTH, IDi, IDr, Message, parse_message


def wanted(pattern: MessagePattern) -> bool:
    """Whether a line expects an AUTH payload, which then has to verify."""
    if pattern.exchange != ExchangeType.IKE_AUTH:
        return False
    return any(item.type == PayloadType.AUTH and item.action != "-" for item in pattern.items)


def disproof(sa: IkeSa, message: Message, context: Context) -> str:
    """Why AUTH does not verify, "" if it does or is not there."""
    claim, identification = message.get(AUTH), message.get(IDr if sa.is_initiator else IDi)
    if claim is None or sa.keys is None:
        return ""
    if identification is None:
        return "AUTH without an ID payload proves nothing"
    why = auth.verify(sa, claim, identification, message, context)
    if why or claim.method != AuthenticationMethod.DIGITAL_SIGNATURE:
        return why
    scheme = SignatureScheme.parse(claim.data[1 : 1 + claim.data[0]])
    our_first_message = parse_message(sa.init_request if sa.is_initiator else sa.init_response)
    if scheme.hash_id in announced_hashes(our_first_message):
        return ""
    return f"the signature uses {name_of(HashAlgorithm, scheme.hash_id)}, which we did not announce"
