"""Captures and key material in, packets in clear out: what `ipsectest decrypt` and `ipsectest keys` do.

From file to file, one module each: ``capture`` (pcap, pcapng -> ``frames.Frame``), ``links`` (frame -> IP packet),
``keys`` (key files -> ``keys.model.KeyRing``), ``esp`` and ``ike`` (packet + keys -> clear or why not), ``output``.
"""
