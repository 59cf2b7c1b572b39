"""ipsectest: a Scapy-based packet lab and conformance tester for IPsec."""

__version__ = "0.1.0"
