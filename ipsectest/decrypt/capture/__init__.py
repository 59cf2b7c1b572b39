"""Capture files of every kind, compressed or not, from disk or from a pipe, as frames; in constant memory.

``opening`` finds out what a file is; ``pcap`` and ``pcapng`` walk over a ``window`` of it, which ``compression`` fills
where the file is compressed. What is damaged ends the walk with a note: every frame before it is given.
"""

from ipsectest.decrypt.capture.opening import open_capture
from ipsectest.decrypt.capture.walk import CaptureFile, TimeUnit
from ipsectest.decrypt.capture.window import Window

__all__ = ["CaptureFile", "TimeUnit", "Window", "open_capture"]
