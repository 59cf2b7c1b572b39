"""Peers: real daemons and the built-in endpoint, each driven through ``scenario.ports.Peer``.

Other rooms import the module they need: ``table`` (names and drivers), ``rootfs`` (the trees daemons live in).
"""
