"""What to change, in words that both daemons' rules use."""

PROPOSALS = (
    (
        "Put one IKE proposal into both sides: cipher, integrity, PRF and group have to agree "
        "(strongSwan: proposals, Libreswan: ike=)."
    ),
)
CHILD_PROPOSALS = (
    (
        "Put one ESP proposal into both sides (strongSwan: esp_proposals, Libreswan: esp=); a PFS group in both or in "
        "neither."
    ),
)
SELECTORS = (
    (
        "Let the subnets of the two sides mirror each other (strongSwan: local_ts and remote_ts, Libreswan: "
        "leftsubnet and rightsubnet)."
    ),
)
SECRET = ("Enter the same pre-shared key on both sides: mind quotes, spaces, line ends, hexadecimal and base64 forms.",)
EAP = ("Check user name and password, and that both sides use the same EAP method.",)
IDENTITY = (
    (
        "Let the remote ID that one side expects be the local ID that the other sends, in type and spelling "
        "(strongSwan: local.id and remote.id; Libreswan: leftid and rightid, where @name is a name and name is "
        "looked up)."
    ),
)
THEIR_LOG = "The log of {remote} has the reason."
NOT_REACHED = (
    "Check that {remote} is the right address, up, and runs an IKE daemon that knows {local}.",
    "Allow UDP 500 and 4500 in both directions in every firewall between the two.",
    "Capture on {remote}: if the requests arrive there, its log says why it is silent.",
)
COOKIES = (
    (
        "A cookie holds for the address that it was made for: look for a NAT that gives each request another source "
        "address, or for several machines behind the address of the responder."
    ),
    "Capture on both sides to see whether cookies and larger requests arrive.",
)
PORT_4500 = (
    (
        "Allow UDP 4500 in both directions in every firewall and NAT between the two: all IKE and ESP goes there "
        "once a NAT was found."
    ),
    "If it is open: messages may be too large for the way (capture on both sides); look into the log of {remote}.",
)
SILENT_AUTH = (
    "Look into the log of {remote}: it may drop the message in silence.",
    "If the message is large, switch IKE fragmentation on (fragmentation = yes on both sides), and capture on both.",
)
DEAD = (
    (
        "Look why {remote} stopped: a restart, a changed address, a NAT mapping that timed out (shorter keepalive "
        "interval), a route that is gone."
    ),
    "To come back by itself: strongSwan dpd_action = restart, Libreswan auto=start or ondemand.",
)
AUTHORITY = (
    "Install the CA certificate that issued the one of {remote} on {local} (strongSwan: x509ca, Libreswan: "
    "certutil -A)."
)
KERNEL = (
    (
        "Load the kernel's modules (esp4, esp6, xfrm_user, the cipher), or propose an algorithm that it has; `ip "
        "xfrm state` shows what is installed."
    ),
)
