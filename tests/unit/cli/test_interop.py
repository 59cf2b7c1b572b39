import pytest

from ipsectest.cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--peers", "builtin,strongswn"], "did you mean 'strongswan'?"),
        (["--cell", "builtin,builtin"], "a cell is INITIATOR,RESPONDER,IKE,ESP"),
        (
            ["--cell", "builtin,builtin,aes128gcm16-prfsha256-x25519,aes128gcm16,psk,sideways"],
            "none of tunnel, transport",
        ),
        (["--cell", "nobody,builtin,aes128gcm16-prfsha256-x25519,aes128gcm16"], "no peer 'nobody'"),
        (["--peers", "builtin", "--cells", "0"], "--cells takes a number above 0"),
        (["--peers", "builtin", "--slow", "nan"], "no factor"),
        (["--peers", "builtin", "--cell", "x"], "not allowed with"),
        (["--peers", "builtin", "--compare", "missing.json"], "missing.json: cannot be read"),
    ],
)
def test_mistakes_are_one_line_and_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interop", *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
