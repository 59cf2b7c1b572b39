"""Proposals as daemons write them, completed as daemons do: a PRF out of the integrity algorithm, no ESN."""

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import KEYWORDS, PRF_OF_INTEGRITY, TransformSpec, format_suite
from ipsectest.ike.config import Suite


def completed_ike(suite: Suite) -> Suite:
    """With a PRF for each integrity algorithm if it names none; ValueError for what is no IKE proposal."""
    if not _of(suite, TransformType.PRF):
        prfs = [PRF_OF_INTEGRITY[spec.id] for spec in _of(suite, TransformType.INTEG) if spec.id in PRF_OF_INTEGRITY]
        suite = (*suite, *(TransformSpec(TransformType.PRF, prf) for prf in prfs))
    for kind, name in ((TransformType.ENCR, "cipher"), (TransformType.PRF, "PRF"), (TransformType.KE, "group")):
        if not _of(suite, kind):
            raise ValueError(f"{format_suite(suite)} names no {name}, as in aes128gcm16-prfsha256-x25519")
    return suite


def completed_esp(suite: Suite) -> Suite:
    """Without extended sequence numbers if it says nothing of them; ValueError for what is no ESP proposal."""
    if not _of(suite, TransformType.ENCR):
        raise ValueError(f"{format_suite(suite)} names no cipher, as in aes256-sha256")
    if _of(suite, TransformType.PRF):
        raise ValueError(f"{format_suite(suite)} names a PRF, which ESP has not")
    return suite if _of(suite, TransformType.ESN) else (*suite, KEYWORDS["noesn"])


def _of(suite: Suite, kind: int) -> list[TransformSpec]:
    return [spec for spec in suite if spec.type == kind]
