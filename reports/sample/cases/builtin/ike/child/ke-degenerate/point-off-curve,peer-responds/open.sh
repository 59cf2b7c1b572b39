#!/bin/sh
# Wireshark with the keys of this case; VIEWER=tshark shows it in a terminal. Arguments are passed on.
here=$(cd "$(dirname "$0")" && pwd) || exit
WIRESHARK_CONFIG_DIR=$here exec "${VIEWER:-wireshark}" -o esp.enable_encryption_decode:TRUE -r "$here/trace.pcapng" "$@"
