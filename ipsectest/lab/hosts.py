"""Where a peer daemon lives: a namespace, a root file system and a private directory.

`NamespaceHost` is what the drivers of ``ipsectest.peers`` are given (their ``Host`` protocol).
"""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.processes import Launch, Process

_INSIDE = PurePosixPath("/run/peer")


class NamespaceHost:
    """One instance of a peer on this machine; ``root`` None means the host's own file system."""

    def __init__(self, lab: Lab, name: str, namespace: Namespace, root: Path | None = None) -> None:
        self._lab = lab
        self.name = name
        self.namespace = namespace
        self.root = root
        self.directory = lab.directory(name)

    @property
    def inside(self) -> PurePosixPath:
        """``directory`` as the daemon sees it."""
        return _INSIDE if self.root else PurePosixPath(self.directory)

    def has(self, program: str) -> bool:
        """Whether a program (absolute path) is there."""
        return Path(self.root or "/", program.lstrip("/")).exists()

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
        """Start a program of this root in this namespace; its output goes to ``<directory>/<program>.out``."""
        launch = Launch(
            argv=argv,
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **environment},
            namespace=str(self.namespace.path),
            root=str(self.root or ""),
            binds={str(self.directory): str(_INSIDE)} if self.root else {},
            directory=str(self.inside),
        )
        return self._lab.process(launch, self.directory / f"{Path(argv[0]).name}.out")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket in the daemon's network."""
        return self.namespace.socket(family, kind, protocol)
