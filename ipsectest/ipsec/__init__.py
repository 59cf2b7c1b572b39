"""ESP and AH in user space: packets and security associations in, packets or reasons out. Pure."""
