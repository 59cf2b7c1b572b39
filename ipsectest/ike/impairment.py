"""What a named fault is made of. Adding one is an entry in one of the ``impair_*`` tables.

``skips`` leaves validations out, ``edits`` changes outgoing messages in place, ``refuses`` drops incoming ones,
``mixin`` overrides methods of ``Policy`` (cooperatively: call ``super()``). An entry may have several of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ipsectest.ike.checks import Check
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import Message

Edit = Callable[[IkeSa | None, Message], None]
Refusal = Callable[[IkeSa | None, Message], bool]


@dataclass(frozen=True, slots=True)
class Impairment:
    """One named fault."""

    name: str
    text: str
    """What the impaired endpoint does, for a list."""
    skips: tuple[Check, ...] = ()
    edits: Edit | None = None
    refuses: Refusal | None = None
    """True: the message is treated as if it had not come."""
    mixin: type[Policy] | None = None
