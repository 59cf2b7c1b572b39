"""Sockets, TUN devices and clocks: the rooms without I/O meet the network here."""
