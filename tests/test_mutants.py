"""Thousands of damaged pictures through a daemon, a one-shot run and the library: each ends, and nothing else does.

The breeder is seeded: what failed can be bred again by the number in its name.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from bgrd.engine.inline import cut_out
from bgrd.errors import Fault, FormatFault, IncompleteFault, InputFault
from bgrd.job import Job, State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.mutants import Mutant, mutants
from tests.pictures.seeds import seeds
from tests.test_damage import PLAIN, SENTENCE
from tests.test_poison import check_at_rest, lanes_started

pytestmark = pytest.mark.timeout(900)

CONFIGURATION = """
[defaults]
grace_seconds = {grace}
"""
FEW, MANY = 150, 3_000
ENDS = {"input", "format", "incomplete", "memory"}
"""The ways a damaged file may fail: never "crash", never "unknown"."""


def drop(house: House, corpus: list[Mutant]) -> None:
    """Have all mutants arrive."""
    for mutant in corpus:
        (house.inbox / mutant.name).write_bytes(mutant.data)


def check_ends(house: House, corpus: list[Mutant], *, shares: tuple[float, float]) -> Counter[str]:
    """Hold that each mutant is done with a result, failed with a sentence, or waits; tell how many of each format."""
    jobs = {job.path.decode(): job for job in house.jobs()}
    ends, results = Counter[str](), house.results()
    for mutant in corpus:
        job = jobs[mutant.name]
        state = end(job)
        ends[f"{mutant.seed.format} {state.value} {job.kind}"] += 1
        assert state in {State.DONE, State.FAILED, State.WAITING}, (mutant.name, job.state, job.reason)
        assert state == State.DONE or job.kind in ENDS, (mutant.name, job.kind, job.reason)
        assert (mutant.name.rpartition(".")[0] + ".png" in results) == (state == State.DONE)
        assert (house.inbox / mutant.name).read_bytes() == mutant.data
    for reason in {job.reason.removeprefix("incomplete: ") for job in jobs.values() if job.reason}:
        assert SENTENCE.fullmatch(reason), reason
        assert not PLAIN.search(reason), reason
    done = sum(job.state == State.DONE for job in jobs.values()) / len(jobs)
    assert shares[0] < done < shares[1], ends
    return ends


def end(job: Job) -> State:
    """Tell how a job stands after its daemon stopped: one that was being looked at once more is one that waits."""
    return State.WAITING if job.state == State.READY and job.kind == "incomplete" else job.state


def test_a_daemon_takes_a_few_mutants(tmp_path: Path) -> None:
    """Of 150 damaged pictures each is done, failed with a sentence or waiting; no lane is lost, nothing is printed."""
    house = House(tmp_path / "house").folders()
    house.configure(CONFIGURATION.format(grace=600))
    corpus = list(mutants(FEW))
    with Daemon(house) as daemon:
        daemon.ready()
        drop(house, corpus)
        daemon.until(lambda: settled(daemon) >= FEW, seconds=200)
        assert lanes_started(daemon) <= daemon.events("daemon.start")[0]["lanes"]
        assert daemon.stop() == 0
    check_ends(house, corpus, shares=(0.2, 0.8))


def settled(daemon: Daemon) -> int:
    """Count the pictures that came to an end, or wait for more of themselves."""
    return len({event["path"] for event in daemon.events("job.done", "job.failed", "job.waiting")})


@pytest.mark.long
def test_a_daemon_takes_thousands_of_mutants(tmp_path: Path) -> None:
    """Of 3,000 each is done or failed with a sentence once its grace is over; the daemon rests then, and works on."""
    house = House(tmp_path / "house").folders()
    house.configure(CONFIGURATION.format(grace=5))
    corpus = list(mutants(MANY, start=10_000))
    with Daemon(house) as daemon:
        daemon.ready()
        drop(house, corpus)
        daemon.until(lambda: ended(daemon) >= MANY, seconds=800)
        assert not daemon.events("journal.failed", "daemon.short", "folder.blocked")
        check_at_rest(house, daemon)
        # A picture that says it is huge runs alone, in a lane of its own.
        assert lanes_started(daemon) <= 4 + 4 * len(daemon.events("job.alone"))
        assert daemon.stop() == 0
    ends = check_ends(house, corpus, shares=(0.2, 0.8))
    sys.stderr.write("".join(f"{end}: {count}\n" for end, count in sorted(ends.items())))
    assert not [end for end in ends if State.WAITING.value in end]


def ended(daemon: Daemon) -> int:
    """Count the pictures that came to an end."""
    return len({event["path"] for event in daemon.events("job.done", "job.failed")})


def test_a_one_shot_run_takes_mutants(tmp_path: Path) -> None:
    """`bgrd once` does what can be done, names the rest with a sentence each, and prints nothing else."""
    house = House(tmp_path / "house").folders()
    corpus = list(mutants(60, start=20_000))
    (house.root / "in").mkdir()
    for mutant in corpus:
        (house.root / "in" / mutant.name).write_bytes(mutant.data)
    run = house.run("once", house.root / "in", "-o", house.root / "out")
    assert run.returncode not in {0, 70}, "some failed, and none of them by our own fault"
    assert "Traceback" not in run.stderr
    made = len(list((house.root / "out").iterdir()))
    assert 10 < made < len(corpus)
    assert f"{made} done, {len(corpus) - made} failed" in run.stderr
    assert "unknown" not in run.stderr


def test_the_library_takes_mutants() -> None:
    """`cut_out` gives a picture or raises one of the file's faults, nothing else."""
    for mutant in mutants(100, start=30_000):
        try:
            assert cut_out(mutant.data).mode == "RGBA"
        except Fault as fault:
            assert isinstance(fault, InputFault | IncompleteFault | FormatFault), (mutant.name, fault)  # noqa: PT017 - the name says which mutant


def test_whole_pictures_are_taken() -> None:
    """What mutants are bred from are good pictures, of every format."""
    assert {seed.format for seed in seeds()} == {"JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "GIF"}
    for seed in seeds():
        assert cut_out(seed.data).mode == "RGBA"


def test_the_breeder_is_seeded() -> None:
    """The same numbers give the same mutants, whatever was bred before."""
    first = [mutant.data for mutant in mutants(40, start=5)]
    assert [mutant.data for mutant in mutants(39, start=6)] == first[1:]
