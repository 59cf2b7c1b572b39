"""What happened in a capture or a log, and what to change.

``conversations``, ``flows`` and ``path`` collect facts while a capture is read; ``causes`` turns facts into findings,
each by a small function; ``explanation`` puts ladder, suites and findings together.
"""
