"""A testbed: a topology with IKE endpoints in it, to work with by hand or by script (``ipsectest lab up``)."""
