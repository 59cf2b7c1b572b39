"""A capture read through, its facts collected."""

from collections.abc import Callable

from ipsectest.decrypt.frames import Capture
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.glance import Glance


def read_capture(
    run: Decryption, capture: Capture, name: str, *, looked: Callable[[], None] = lambda: None
) -> CaptureFacts:
    """Every frame of an open capture, by a glance where that is enough. ``looked`` follows each frame."""
    facts = CaptureFacts(name)
    run.observer = facts
    glance = Glance(run.sas, facts.flows)
    for frame in capture.frames():
        interface = capture.interfaces[frame.interface]
        if glance.take(frame, interface.link_type):
            facts.end = max(facts.end, frame.nanoseconds)
        else:
            run.take(frame, interface)
            glance.remember(frame, interface.link_type)
        looked()
    return facts
