"""The keys of a case as files: ours (``keys.toml``) and Wireshark's ``ikev2_decryption_table`` and ``esp_sa``."""

from ipsectest.base.iana import ExtendedSequenceNumbers as Esn
from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.ike.keylog import EspKeys, KeyLog
from ipsectest.ike.proposals import Chosen
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.scenario.session import Session


def tables(session: Session) -> dict[str, str]:
    """File name -> text; tables without rows are left out."""
    directions = [_direction(sa) for pair in session.traffic.all_pairs for sa in pair]
    return KeyLog(list(session.keyed), directions).files()


def _direction(sa: SecurityAssociation) -> EspKeys:
    esn = TransformSpec(TransformType.ESN, Esn.ESN if sa.esn else Esn.NO_ESN)
    transforms = tuple(spec for spec in (sa.encryption, sa.integrity, esn) if spec is not None)
    chosen = Chosen(0, ProtocolId.ESP, b"", transforms)
    return EspKeys(sa.source, sa.destination, sa.spi, chosen, sa.encryption_key, sa.integrity_key)
