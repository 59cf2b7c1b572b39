"""What goes into the guest: literal lists of programs, applets, modules and left-out files."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PROGRAMS = (
    "/bin/dash",
    "/bin/bash",
    "/bin/busybox",
    "/bin/ip",
    "/sbin/bridge",
    "/sbin/tc",
    "/bin/ss",
    "/bin/ping",
    "/usr/bin/env",
    "/usr/bin/iperf3",
    "/usr/bin/nsenter",
    "/usr/bin/setsid",
    "/usr/bin/socat",
    "/usr/bin/tcpdump",
    "/usr/bin/timeout",
    "/usr/bin/unshare",
    "/usr/sbin/nft",
    "/etc/protocols",
    "/etc/services",
)
"""Of the tree with the kernel. Debian ships some below ``/bin``, some below ``/usr/bin``; both are on the PATH."""

APPLETS = _words(
    "[ awk base64 basename cat chgrp chmod chown chroot clear cmp cp cpio cut date dd df dirname dmesg du echo "
    "expr false find free grep gunzip gzip head hexdump hostname id insmod install kill less ln ls lsmod md5sum mkdir "
    "mkfifo mknod mktemp modinfo more mount mv nproc od pidof printf ps pwd readlink realpath reset rm rmdir rmmod sed "
    "seq sha256sum sleep sort stat strings stty sync sysctl tail tar tee test top touch tr true truncate tty umount "
    "uname uniq uptime vi wc which xargs xxd yes zcat"
)
"""Of busybox; those whose full programs are there (ip, ping, env, timeout ...) are left out."""

AT_BOOT = ("virtio_pci", "virtio_console", "virtio_net")
"""Loaded before the guest can be spoken to."""

MODULES = (
    *AT_BOOT,
    *_words("virtio_rng virtio_blk vmgenid 9p 9pnet_virtio overlay"),
    *_words("veth tun bridge dummy macvlan ipvlan 8021q vrf ifb vxlan"),
    *_words("af_key xfrm_user xfrm_interface xfrm4_tunnel xfrm6_tunnel esp4_offload esp6_offload ip_vti ip6_vti"),
    *_words("sch_netem sch_tbf sch_ingress sch_prio cls_u32 cls_matchall act_mirred af_packet_diag"),
)

MODULE_DIRECTORIES = (
    "crypto",
    "arch/x86/crypto",
    "lib/crypto",
    "net/ipv4",
    "net/ipv6",
    "net/xfrm",
    "net/key",
    "net/netfilter",
)
"""All modules of these: the kernel asks for algorithms and protocols by alias when a peer first uses them."""

PEER_SOURCES = ("strongswan", "libreswan", "openiked", "nss")
"""Debian source packages whose files make a peer."""

PEER_PROGRAMS = tuple(
    f"/bin/{name}"
    for name in _words("sh true false cat cp ls mkdir rm sed grep sleep env id date ip certutil pk12util")
)

PEER_EXTRAS = (
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/openssl.cnf",
    "/lib/x86_64-linux-gnu/libgcc_s.so.1",  # loaded at run time by pthread_cancel
    "/lib/x86_64-linux-gnu/libnss_files.so.2",
    "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
    "/usr/share/zoneinfo/UTC",
)
"""What peers open at run time without naming it as a needed library."""

PEER_PLACES = ("proc", "sys", "dev", "run", "tmp", "var/lib", "var/log", "etc")
"""Directories a peer expects."""

LEFT_OUT = (
    "/usr/share/",
    "/usr/lib/systemd/",
    "/lib/systemd/",
    "/usr/include/",
    "/etc/init.d/",
    "/etc/apparmor.d/",
    "/usr/lib/python3",
)

PYTHON_PACKAGES = ("/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/python3.13")
