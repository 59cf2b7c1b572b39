"""A virtual machine with a kernel of its own, for what the kernel here cannot do: ESP, AH, IPComp, netem."""
