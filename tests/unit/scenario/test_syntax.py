import pytest

from ipsectest.scenario.syntax import ScriptSyntaxError, parse_line

GOOD = [
    '-> IKE_SA_INIT ... SA(as before) KE(modp2048) -N(COOKIE) +V("x y") x3 HDR(id=+1 i=0)',
    "<- CREATE_CHILD_SA N(REKEY_SA spi=net) SA Ni TSi TSr ... as theirs [MUST 7296-1.3.3-01, 7296-2.8-01] within 2s",
    "<- nothing for 500ms [SHOULD 7296-1]",
    "<- no INFORMATIONAL response -N ... for 1.5s",
    "and ESP(net seq=1) [MAY 7296-1]",
    "or nothing for 1s",
    "-> IKE_AUTH ... before SK N(40000) after SK V(00 x9) SK{icv=flip pad=3}",
    "-> ESP(net seq=+7 encap=udp) ping from other-net size=100",
    "-> octets empty to 4500",
    "-> keepalive from other",
    "-> EXCHANGE(240) N(9) unencrypted request",
    "use tunnel net on two behind nat",
    "peer counter half-open =3 [INFO x]",
    "peer rekey ike on new",
    "in any order:",
]


@pytest.mark.parametrize("line", GOOD)
def test_a_line_of_the_notation_is_taken(line: str) -> None:
    assert parse_line(line).data


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("pear rekey net", 1, "did you mean 'peer'?"),
        ("peer rekei net", 6, "did you mean 'rekey'?"),
        ("<- IKE_SA_INIT KE [MUSTY 7296-1]", 20, "did you mean 'MUST'?"),
        ("wait 5", 6, "a time such as 500ms or 2s"),
        ("-> IKE_SA_INIT ... KE(", 23, "expected"),
        ("use tunel net", 5, "did you mean 'tunnel'?"),
        ("<- nothing for 1", 16, "a time such as"),
    ],
)
def test_an_error_points_at_the_word_and_suggests(line: str, column: int, said: str) -> None:
    with pytest.raises(ScriptSyntaxError) as raised:
        parse_line(line)
    assert raised.value.column == column
    assert said in raised.value.hint
