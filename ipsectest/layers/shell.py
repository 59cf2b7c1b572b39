"""``ipsectest shell``: a Scapy prompt with the layers of this room loaded and bound."""

import code
import sys
from pathlib import Path
from typing import Any

from ipsectest.base.errors import UsageError

BANNER = """ipsectest shell: Scapy with IKEv2, ESP and AH on ports 500 and 4500.
  IKEv2()/IKEv2_SA(...)/IKEv2_KE(...)       stack payloads; show(), raw(), fuzz(), sr1(), rdpcap() as usual
  seal(packet, keys)  unseal(packet, keys)  SK payloads; keys = SkKeys.of("aes128gcm16", sk_e)
  wire.parse_message(octets)  wire.describe(message)  the codec below; ls(IKEv2_SA) lists fields"""


def namespace(capture: Path | None = None) -> dict[str, Any]:
    """What is defined at the prompt: all of Scapy, the layers, ``wire``, and a capture as ``packets``.

    Binds the ports. Raises UsageError for a capture that cannot be read.
    """
    import scapy.all  # noqa: PLC0415 - half a second that only the shell pays

    from ipsectest import layers, wire  # noqa: PLC0415

    layers.bind()
    names = {name: value for name, value in vars(scapy.all).items() if not name.startswith("_")}
    names |= {name: getattr(layers, name) for name in layers.__all__}
    names |= {"wire": wire, "layers": layers, "__name__": "__console__"}
    if capture is not None:
        try:
            names["packets"] = names["rdpcap"](str(capture))
        except Exception as error:  # noqa: BLE001 - Scapy's readers raise many things
            raise UsageError(f"{capture}: {error}") from None
    return names


def start_shell(capture: Path | None = None, statements: str | None = None) -> int:
    """Open the prompt, or run statements and leave; the process's exit code, 1 when statements raise."""
    console = code.InteractiveConsole(namespace(capture))
    if statements is not None:
        return _run(console, statements)
    _complete(console)
    console.interact(banner=BANNER, exitmsg="")
    return 0


def _run(console: code.InteractiveConsole, statements: str) -> int:
    try:
        exec(compile(statements, "<shell>", "exec"), console.locals)  # noqa: S102 - the user's own statements
    except Exception:  # noqa: BLE001 - shown as the prompt would show it
        console.showtraceback()
        return 1
    return 0


def _complete(console: code.InteractiveConsole) -> None:
    """Tab completion where the terminal can."""
    if not sys.stdin.isatty():
        return
    try:
        import readline  # noqa: PLC0415 - absent on some builds of Python
        import rlcompleter  # noqa: PLC0415
    except ImportError:
        return
    readline.set_completer(rlcompleter.Completer(console.locals).complete)
    readline.parse_and_bind("tab: complete")
