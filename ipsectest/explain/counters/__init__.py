"""What kernels counted: statistics of SAs (``ip -s xfrm state``) and of drops (``/proc/net/xfrm_stat``)."""
