"""Asking the kernel whether it can do ESP: one SA is added in a namespace of its own.

Layouts are those of linux/xfrm.h; pyroute2 has no messages for them.
"""

import errno
import os
import socket
import struct
from ipaddress import ip_address

from ipsectest.lab.namespaces import Namespace

_NETLINK_XFRM = 6
_XFRM_MSG_NEWSA = 0x10
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLMSG_ERROR = 2
_XFRMA_ALG_AEAD = 18
_MODE_TUNNEL = 1
_ANSWER_CAP = 5.0


def esp_refusal(namespace: Namespace) -> str:
    """Why the kernel takes no ESP SA (AES-GCM, tunnel mode); empty if it takes one."""
    with namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_XFRM) as netlink:
        netlink.settimeout(_ANSWER_CAP)  # adding the first SA may load modules
        try:
            netlink.bind((0, 0))
            netlink.send(_new_sa())
            answer = netlink.recv(4096)
        except TimeoutError:
            return "the kernel does not answer"
        except OSError as error:
            return error.strerror or str(error)
    kind, result = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if kind != _NLMSG_ERROR:
        return f"unexpected netlink message {kind}"
    return "" if not result else f"{os.strerror(-result)} ({errno.errorcode.get(-result, -result)})"


def _new_sa() -> bytes:
    source, destination = (ip_address(text).packed + bytes(12) for text in ("192.0.2.1", "192.0.2.2"))
    selector = bytes(40) + struct.pack("=HBBB3xiI", socket.AF_INET, 0, 0, 0, 0, 0)
    identity = destination + struct.pack("!I", 0x1001) + struct.pack("=B3x", socket.IPPROTO_ESP)
    unlimited = struct.pack("=QQQQ", *[(1 << 64) - 1] * 4) + bytes(32)
    current, statistics = bytes(32), bytes(12)
    tail = struct.pack("=IIHBBB7x", 0, 0, socket.AF_INET, _MODE_TUNNEL, 32, 0)
    body = selector + identity + source + unlimited + current + statistics + tail
    key = bytes(20)  # 16 octets of key, 4 of salt (RFC 4106 section 8.1)
    algorithm = b"rfc4106(gcm(aes))".ljust(64, b"\0") + struct.pack("=II", 8 * len(key), 128) + key
    body += struct.pack("=HH", 4 + len(algorithm), _XFRMA_ALG_AEAD) + algorithm
    return struct.pack("=IHHII", 16 + len(body), _XFRM_MSG_NEWSA, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0) + body
