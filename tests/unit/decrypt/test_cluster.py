"""A file on a cluster: real schedulers and workers of Dask on this machine, the same octets as from one process."""

import gc
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.errors import UsageError
from ipsectest.cli import main
from ipsectest.decrypt.capture import parts
from ipsectest.decrypt.cluster import Cluster
from ipsectest.decrypt.crew import WorkerError
from ipsectest.decrypt.keys import ours
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.parallel import Workers, decrypt_in_parts
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.summary import summary
from tests.unit.decrypt.test_ike import ike_keys
from tests.unit.decrypt.test_parallel import NAME, packets_of, run, sealed, write
from tests.unit.decrypt.test_seams import nameless
from tests.unit.decrypt.test_unwrap import PCAPS


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 4096)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="pip install 'ipsectest[cluster]'")
    scratch = str(tmp_path_factory.mktemp("workers"))
    config = pytest.importorskip("dask.config").set(temporary_directory=scratch)  # else a folder stays in /tmp
    with warnings.catch_warnings(), config:
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            host="127.0.0.1",
            dashboard_address=None,
            worker_dashboard_address=None,
            local_directory=scratch,
        ) as cluster:
            yield cluster.scheduler_address
    gc.collect()  # now, not in a process that a later test forks, where its threads are not


def test_a_cluster_finds_what_one_process_finds(address: str, tmp_path: Path) -> None:
    ring, packets = sealed(600)
    del packets[100:105]
    path = write(tmp_path / "in", packets, classic=False)
    alone = run(path, ring, tmp_path / "one", 1)
    cluster = Cluster(address)
    assert cluster.count == 4
    with (tmp_path / "many").open("wb") as file:
        output = Output(file)
        decryption = Decryption(ring, output)
        workers = Workers(cluster.count, crew=cluster.crew)
        assert not decrypt_in_parts(decryption, path, ring, output, workers)
    cluster.close()
    assert summary(decryption) == alone
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()


def test_the_command_uses_it(address: str, tmp_path: Path) -> None:
    ring, packets = sealed(400)
    path = write(tmp_path / "in.pcap", packets, classic=True)
    run(path, ring, tmp_path / "one", 1)
    (tmp_path / "keys.toml").write_text(ours.write(ring))
    words = ["decrypt", str(path), "--keys", str(tmp_path / "keys.toml"), "-o", str(tmp_path / "out")]
    assert main.main([*words, "--dask", address]) == 0
    assert (tmp_path / "out").read_bytes() == (tmp_path / "one").read_bytes()


def test_a_worker_that_does_not_see_the_file_is_told(address: str, tmp_path: Path) -> None:
    ring, packets = sealed(400)
    path = write(tmp_path / "in", packets, classic=True)
    cluster = Cluster(address)

    def crew(count: int, conditions: object) -> object:
        made = cluster.crew(count, conditions)
        submit = made.submit
        made.submit = lambda place, job: submit(place, replace(job, part=replace(job.part, path=Path("/nowhere/in"))))
        return made

    with pytest.raises(WorkerError, match="/nowhere/in"):
        decrypt_in_parts(Decryption(ring), path, ring, None, Workers(2, crew=crew))
    cluster.close()


@pytest.mark.parametrize("output", ["file", "pipe", "none"])
def test_lines_and_keys_by_trial_are_those_of_one_process(
    output: str, address: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With messages of IKE among the packets, and packets that come twice."""
    esp_ring, packets = sealed(300)
    frames = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    path = write(tmp_path / "in.pcap", [*packets[:150], *frames, *frames[-9:], *packets[140:]], classic=True)
    ring = nameless(esp_ring)
    ring.ike += list(ike_keys(NAME))
    (tmp_path / "keys.toml").write_text(ours.write(ring))
    words = ["decrypt", str(path), "--keys", str(tmp_path / "keys.toml"), "--try", "--json"]
    written = []
    for more in ([], ["--dask", address]):
        lines, out = tmp_path / "lines", tmp_path / "out"
        to = {"file": ["-o", str(out), "--jsonl", str(lines)], "pipe": ["--jsonl", "-"], "none": []}[output]
        assert main.main([*words, *to, *more]) == 0
        said = capfdbinary.readouterr()
        assert b"one process" not in said.err
        written.append((said, *(one.read_bytes() for one in (lines, out) if one.exists())))
    assert written[1] == written[0]
    assert b"found by trial" in written[0][0].out + written[0][0].err


def test_a_pipe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["decrypt", "-", "--dask", "tcp://192.0.2.1:8786"]) == 2
    assert "--dask" in capsys.readouterr().err


def test_no_cluster_there_is_told() -> None:
    with pytest.raises(UsageError, match="no Dask cluster"):
        Cluster("not an address")
