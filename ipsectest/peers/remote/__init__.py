"""Peers that run already, at an address: their description, what of a case fits it, and the user's adapter program."""
