"""Keys of IKE and Child SAs as text: our own ``keys.toml`` and Wireshark's tables.

``keys.toml`` has a table for each SA; octets are hexadecimal, suites are words of ``base.suites``::

    [[ike]]                      # spi_i, spi_r, suite, sk_d sk_ai sk_ar sk_ei sk_er sk_pi sk_pr
    [[esp]]                      # one direction: source, destination, spi, suite, encryption_key, integrity_key, esn

Wireshark (names: ``base.wireshark``) reads ``ikev2_decryption_table`` and ``esp_sa`` from a profile folder; SAs whose
algorithms it lacks (ChaCha20-Poly1305, Camellia, AES-CCM in ESP) stand in ``keys.toml`` only.
"""

from dataclasses import dataclass, field

from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import format_suite
from ipsectest.base.wireshark import ESP_ENCRYPTION, ESP_INTEGRITY, IKE_ENCRYPTION, IKE_INTEGRITY
from ipsectest.ike.events import ChildInstalled, Event, IkeEstablished
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import IkeSa


@dataclass(frozen=True, slots=True)
class EspKeys:
    """One direction of a Child SA."""

    source: str
    destination: str
    spi: bytes
    chosen: Chosen
    encryption_key: bytes
    integrity_key: bytes


@dataclass(slots=True)
class KeyLog:
    """Collects keys from events and writes them out."""

    ike: list[IkeSa] = field(default_factory=list)
    esp: list[EspKeys] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Remember the keys of an event that has some."""
        if isinstance(event, IkeEstablished):
            self.ike.append(event.sa)
        elif isinstance(event, ChildInstalled) and event.child.protocol == ProtocolId.ESP:
            self.esp += directions(event)

    def files(self) -> dict[str, str]:
        """File name -> text; tables without rows are left out."""
        texts = {
            "keys.toml": "\n".join([*map(ike_toml, self.ike), *map(esp_toml, self.esp)]),
            "ikev2_decryption_table": _lines([ike_row(sa) for sa in self.ike]),
            "esp_sa": _lines([esp_row(keys) for keys in self.esp]),
        }
        return {name: text for name, text in texts.items() if text}

    def unsupported(self) -> list[str]:
        """One line for each SA with keys that Wireshark's tables cannot hold, naming it and its suite."""
        ike = [
            f"IKE SA {sa.spi_i.hex()}:{sa.spi_r.hex()}: Wireshark cannot decrypt {sa.chosen}"
            for sa in self.ike
            if sa.keys is not None and not ike_row(sa)
        ]
        esp = [
            f"ESP SA {keys.spi.hex()}: Wireshark cannot decrypt {keys.chosen}" for keys in self.esp if not esp_row(keys)
        ]
        return ike + esp


def directions(event: ChildInstalled) -> list[EspKeys]:
    """The inbound and the outbound half of an installed Child SA."""
    child, here, there = event.child, event.local.host, event.remote.host
    keys = child.keys
    return [
        EspKeys(there, here, child.spi_in, child.chosen, keys.encryption_in, keys.integrity_in),
        EspKeys(here, there, child.spi_out, child.chosen, keys.encryption_out, keys.integrity_out),
    ]


def _lines(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in dict.fromkeys(rows) if row)


def ike_row(sa: IkeSa) -> str:
    """A row of ``ikev2_decryption_table``; "" without keys or if Wireshark lacks an algorithm."""
    if sa.keys is None or sa.chosen is None:
        return ""
    encr, integ = sa.chosen.of(TransformType.ENCR), sa.chosen.of(TransformType.INTEG)
    encryption = IKE_ENCRYPTION.get((encr.id, encr.key_length), "") if encr else ""
    integrity = IKE_INTEGRITY.get(integ.id, "") if integ else "NONE [RFC4306]"
    if not encryption or not integrity:
        return ""
    keys = sa.keys
    # An algorithm that it does not check must have no key, or Wireshark refuses the whole table.
    checks = integ is not None and not integrity.startswith("ANY")
    names = (sa.spi_i, sa.spi_r, keys.sk_ei, keys.sk_er), (keys.sk_ai, keys.sk_ar) if checks else (b"", b"")
    first, second = (",".join(octets.hex() for octets in part) for part in names)
    return f'{first},"{encryption}",{second},"{integrity}"'


def esp_row(keys: EspKeys) -> str:
    """A row of ``esp_sa``; "" if Wireshark lacks an algorithm. The upper half of ESNs is taken to be 0."""
    encr, integ = keys.chosen.of(TransformType.ENCR), keys.chosen.of(TransformType.INTEG)
    encryption = ESP_ENCRYPTION.get(encr.id, "") if encr else ""
    integrity = ESP_INTEGRITY.get(integ.id, "") if integ else "NULL"
    if not encryption or not integrity:
        return ""
    columns = (
        "IPv6" if ":" in keys.source else "IPv4", keys.source, keys.destination, f"0x{keys.spi.hex()}",
        encryption, _hex(keys.encryption_key), integrity, _hex(keys.integrity_key),
        "64-bit" if keys.chosen.esn else "32-bit", "0",
    )  # fmt: skip
    return ",".join(f'"{column}"' for column in columns)


def _hex(key: bytes) -> str:
    return f"0x{key.hex()}" if key else ""


def ike_toml(sa: IkeSa) -> str:
    """The ``[[ike]]`` table of an IKE SA; "" without keys."""
    if sa.keys is None:
        return ""
    names = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
    keys = "".join(f'{name} = "{getattr(sa.keys, name).hex()}"\n' for name in names)
    return f'[[ike]]\nspi_i = "{sa.spi_i.hex()}"\nspi_r = "{sa.spi_r.hex()}"\nsuite = "{sa.chosen}"\n{keys}'


def esp_toml(keys: EspKeys) -> str:
    """The ``[[esp]]`` table of one direction."""
    suite = format_suite([s for s in keys.chosen.transforms if s.type in {TransformType.ENCR, TransformType.INTEG}])
    return (
        f'[[esp]]\nsource = "{keys.source}"\ndestination = "{keys.destination}"\nspi = "{keys.spi.hex()}"\n'
        f'suite = "{suite}"\nencryption_key = "{keys.encryption_key.hex()}"\n'
        f'integrity_key = "{keys.integrity_key.hex()}"\nesn = {str(keys.chosen.esn).lower()}\n'
    )
