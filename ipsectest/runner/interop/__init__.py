"""Interop mode: two peers with a tunnel between them, for every ordered pair, in cells that cover the choices.

``covering`` chooses combinations, ``cells`` says what one is, ``abilities`` what a peer lacks for it, ``gateways``
are the two ends, ``play`` takes one cell from the first message to the last, ``session`` plays them all.
"""
