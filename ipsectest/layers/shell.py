"""``ipsectest shell``: a Scapy prompt with the layers of this room loaded and bound."""

import argparse
import code
import sys
from collections.abc import Sequence
from typing import Any

from ipsectest.base.errors import UsageError

BANNER = """ipsectest shell: Scapy with IKEv2, ESP and AH on ports 500 and 4500.
  IKEv2()/IKEv2_SA(...)/IKEv2_KE(...)   stack payloads; show(), raw(), fuzz(), sr1(), rdpcap() as usual
  seal(packet, keys) unseal(packet, keys)   SK payloads; keys = SkKeys.of("aes128gcm16", sk_e)
  wire.parse_message(octets)  wire.describe(message)   the codec below; ls(IKEv2_SA) lists fields"""


def namespace() -> dict[str, Any]:
    """What is defined at the prompt: all of Scapy, the layers, ``wire``. Binds the ports."""
    import scapy.all  # noqa: PLC0415 - half a second that only the shell pays

    from ipsectest import layers, wire  # noqa: PLC0415

    layers.bind()
    names = {name: value for name, value in vars(scapy.all).items() if not name.startswith("_")}
    names |= {name: getattr(layers, name) for name in layers.__all__}
    return names | {"wire": wire, "layers": layers}


def start_shell(argv: Sequence[str] = ()) -> int:
    """Open the prompt, or run the statements of ``-c``; the process's exit code."""
    parser = argparse.ArgumentParser(prog="ipsectest shell", description="A Scapy prompt with the IPsec layers loaded.")
    parser.add_argument("-c", metavar="STATEMENTS", dest="statements", help="run these Python statements and leave")
    parser.add_argument("pcap", nargs="?", help="a capture, read into the variable 'packets'")
    arguments = parser.parse_args(argv)
    names = namespace()
    if arguments.pcap:
        names["packets"] = _packets(arguments.pcap, names["rdpcap"])
    console = code.InteractiveConsole(names)
    if arguments.statements is not None:
        return _run(console, arguments.statements)
    _complete(names)
    console.interact(banner=BANNER, exitmsg="")
    return 0


def _run(console: code.InteractiveConsole, statements: str) -> int:
    """Statements of ``-c``: 1 when they raise or do not parse."""
    try:
        exec(compile(statements, "<shell>", "exec"), console.locals)  # noqa: S102 - the user's own statements
    except Exception:  # noqa: BLE001 - shown as the prompt would show it
        console.showtraceback()
        return 1
    return 0


def _packets(path: str, rdpcap: Any) -> Any:
    try:
        return rdpcap(path)
    except Exception as error:  # noqa: BLE001 - Scapy's readers raise many things
        raise UsageError(f"{path}: {error}") from None


def _complete(names: dict[str, Any]) -> None:
    """Tab completion where the terminal can."""
    if not sys.stdin.isatty():
        return
    try:
        import readline  # noqa: PLC0415 - absent on some builds of Python
        import rlcompleter  # noqa: PLC0415
    except ImportError:
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
