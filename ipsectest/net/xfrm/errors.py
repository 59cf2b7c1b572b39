"""What the kernel refused, and why."""

import errno
import os

from pyroute2.netlink.exceptions import NetlinkError


class XfrmError(NetlinkError):  # type: ignore[misc]  # pyroute2 has no types
    """A request that the kernel refused.

    ``code`` is the errno, ``text`` the kernel's own explanation (extended acknowledgement) or else the words of
    the errno, ``request`` what was asked for. Whoever catches pyroute2's NetlinkError catches this one too.
    """

    def __init__(self, code: int, text: str = "", request: str = "") -> None:
        self.text = text or os.strerror(code)
        self.request = request
        super().__init__(code, self.text)

    def __str__(self) -> str:
        """``adding state 192.0.2.2 esp 0x1001: Requested AEAD algorithm not found (ENOSYS)``."""
        name = errno.errorcode.get(self.code, str(self.code))
        return f"{self.request}: {self.text} ({name})" if self.request else f"{self.text} ({name})"
