"""IKEv1: messages of a capture opened with the key of phase 1, and the keys of phase 2 that follow."""

from ipsectest.decrypt.ikev1.opened import OpenedV1
from ipsectest.decrypt.ikev1.phase1 import Ikev1Database
from ipsectest.decrypt.ikev1.quick_mode import QuickModes

__all__ = ["Ikev1Database", "OpenedV1", "QuickModes"]
