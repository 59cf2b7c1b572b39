"""Namespaces, links, processes and captures of one run on this machine, and their sure removal.

``Lab`` makes things and removes them at the end; ``clean`` removes what runs that died have left.
"""

from ipsectest.lab.journal import clean
from ipsectest.lab.lab import Lab

__all__ = ["Lab", "clean"]
