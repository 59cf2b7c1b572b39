"""Netfilter over netlink, as far as packets have to wait for their SA: a table of SPIs, and the queues they lead to."""
