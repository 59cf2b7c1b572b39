"""Hostile captures and key files for ``ipsectest decrypt`` and ``ipsectest keys``."""
