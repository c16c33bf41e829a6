"""How a run begins: what was left open is settled, and what it began with is known."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from bgrd.errors import BusyError, CannotCreateError, TrainingError, UsageError
from bgrd.train.begin import alone, begin, wanted
from bgrd.train.checkpoint import digest, load_checkpoint, save_checkpoint
from bgrd.train.fit import Fit
from bgrd.train.options import parse, read_recipe
from bgrd.train.origin import from_checkpoint
from bgrd.train.sampler import MIXTURE, Sampler
from tests.houses.small_runs import QUICK, Silent, wish

pytestmark = pytest.mark.usefixtures("one_thread", "no_curves")


def drawing(run: Fit) -> Sampler:
    """Give what draws the samples of a run."""
    found = run._draw(32)
    assert isinstance(found, Sampler)
    return found


@pytest.mark.parametrize(
    ("recipe", "given", "side", "at"),
    [
        ("", {}, (288,), (0.0,)),
        ("", {"network": "isnet"}, (1024,), (0.0,)),
        ("", {"network": "u2netp", "side": [64]}, (64,), (0.0,)),
        ("batch = 8", {"network": "u2netp"}, (320,), (0.0,)),
        ("side = 96", {"network": "u2netp"}, (96,), (0.0,)),
        ("side = [64, 96]\nat = [0, 0.5]", {}, (64, 96), (0.0, 0.5)),
        ("side = [64, 96]\nat = [0, 0.5]", {"side": [128]}, (128,), (0.0,)),
        ("side = [64, 96]\nat = [0, 0.5]", {"side": [96, 128]}, (96, 128), (0.0, 0.5)),
    ],
)
def test_a_side_that_nobody_said_is_the_network_s(
    tmp_path: Path, recipe: str, given: dict[str, Any], side: tuple[int, ...], at: tuple[float, ...]
) -> None:
    """What the recipe or the command line says counts; one side alone is that of the whole run."""
    path = tmp_path / "r.toml"
    path.write_text(recipe, encoding="utf-8")
    found = wanted(wish(tmp_path, tmp_path, given=given, recipe=str(path)))
    assert (found.side, found.at) == (side, at)


def test_the_mixture_of_a_run_is_written_out(data: Path, tmp_path: Path) -> None:
    """Recipe and checkpoint have every share, so that the same samples are drawn also when the sampler's own change."""
    run = begin(wish(data, tmp_path / "run"), Silent())
    run.run()
    assert run.options.mixture == MIXTURE
    assert load_checkpoint(tmp_path / "run" / "last.pt").options["mixture"] == MIXTURE
    found = parse(read_recipe(tmp_path / "run" / "recipe.toml"), where="recipe")
    assert list(found.mixture.items()) == list(MIXTURE.items())
    one = wanted(wish(data, tmp_path, given={"mixture": {"pairs": 1}}))
    assert one.mixture == {"pairs": 1}


def test_a_run_keeps_the_mixture_it_began_with(data: Path, tmp_path: Path) -> None:
    """One from before mixtures were written out goes on with the sampler's own; its checkpoint says so still."""
    begin(wish(data, tmp_path, given=QUICK | {"mixture": {"pairs": 1}}), Silent()).run()
    going = wish(data, tmp_path, resume=True)
    assert [kind.name for kind in drawing(begin(going, Silent())).kinds] == ["pairs"]
    left = load_checkpoint(tmp_path / "last.pt")
    save_checkpoint(tmp_path / "last.pt", replace(left, options=left.options | {"mixture": {}}))
    again = begin(going, Silent())
    assert again.options.mixture == {}
    assert len(drawing(again).kinds) > 10


def test_what_a_run_is_cannot_change(data: Path, tmp_path: Path) -> None:
    """A side is told as such, whatever number of sides the run has; what does not change the run may."""
    sides = QUICK | {"side": [32, 64], "at": [0, 0.5]}
    begin(wish(data, tmp_path, given=sides), Silent()).run()
    for given in ({"side": [64]}, {"side": [32, 64, 96]}, {"side": [33]}):
        with pytest.raises(UsageError, match="--side cannot change while a run goes on; begin another with --init"):
            begin(wish(data, tmp_path, given=given, resume=True), Silent())
    found = begin(wish(data, tmp_path, given={"side": [32, 64], "threads": 2}, resume=True), Silent()).options
    assert (found.side, found.at, found.threads) == ((32, 64), (0.0, 0.5), 2)


def test_a_model_says_what_its_run_began_with(data: Path, tmp_path: Path) -> None:
    """The whole chain: file, checksum, recipe and manifest of each run, down to one that began with nothing."""
    files = [tmp_path / name / "last.pt" for name in ("first", "second", "third")]
    begin(wish(data, files[0].parent), Silent()).run()
    for before, after in pairwise(files):
        given = QUICK | {"rate": 1e-4, "seed": 2}
        begin(wish(data, after.parent, given=given, init=before), Silent()).run()
    found = from_checkpoint(files[2], lambda spec: spec).provenance["begun_with"]
    for file, seed in ((files[1], 2), (files[0], 1)):
        assert (found["by"], found["file"], found["sha256"]) == ("--init", "last.pt", digest(file))
        assert (found["network"], found["samples"], found["recipe"]["seed"]) == ("lite", 8, seed)
        assert found["manifest_sha256"] == digest(data / "manifest.csv")
        found = found["begun_with"]
    assert found == {}
    recipe = (files[1].parent / "recipe.toml").read_text(encoding="utf-8")
    assert recipe.startswith(f'# begun with --init "last.pt", sha256 {digest(files[0])}\n')
    assert not (files[0].parent / "recipe.toml").read_text(encoding="utf-8").startswith("#")


def test_a_larger_network_begins_with_a_smaller_one_s_weights(data: Path, tmp_path: Path) -> None:
    """`lite-large` grows from `lite` and says so; the other way round, and from other networks, is refused."""
    begin(wish(data, tmp_path / "small"), Silent()).run()
    small = tmp_path / "small" / "last.pt"
    run = begin(wish(data, tmp_path / "large", given=QUICK | {"network": "lite-large"}, init=small), Silent())
    assert isinstance(run.begun_with, dict)
    assert (run.begun_with["network"], run.begun_with["samples"]) == ("lite", 8)
    name = "stages.0.0.wide.0.weight"
    kept = load_checkpoint(small).average[name]
    assert torch.equal(run.learner.network.state_dict()[name][: len(kept), : kept.shape[1]], kept)
    run.run()
    large = tmp_path / "large" / "last.pt"
    for network, begun in (("lite", large), ("lite-plain", small)):
        with pytest.raises(TrainingError, match=f"is of the network .*, not {network}"):
            begin(wish(data, tmp_path / "no", given=QUICK | {"network": network}, init=begun), Silent())


def test_weights_of_an_encoder_are_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the run went on, and whatever their file is called: the recipe stays one."""
    weights = tmp_path / 'a\n"b\x7f.pth'
    weights.write_bytes(b"learnt")
    monkeypatch.setattr("bgrd.train.begin._load_encoder", lambda _fit, _path: None)
    wanted_ = wish(data, tmp_path / "run", encoder=weights)
    begin(wanted_, Silent()).run()
    begin(wish(data, tmp_path / "run", resume=True), Silent()).run()
    found = load_checkpoint(tmp_path / "run" / "last.pt").begun_with
    assert found == {"by": "--encoder-weights", "file": weights.name, "sha256": digest(weights)}
    path = tmp_path / "run" / "recipe.toml"
    assert path.read_text(encoding="utf-8").startswith('# begun with --encoder-weights "a\\n\\"b\\u007f.pth", sha256 ')
    assert parse(read_recipe(path), where="recipe") == wanted(wanted_)


def test_a_checkpoint_from_before_does_not_know(data: Path, tmp_path: Path) -> None:
    """One of the first format is gone on with, begun with and exported; what it began with is unknown, not nothing."""
    begin(wish(data, tmp_path), Silent()).run()
    values = torch.load(tmp_path / "last.pt", weights_only=True)
    del values["begun_with"]
    torch.save(values | {"bgrd": 1}, tmp_path / "last.pt")
    assert from_checkpoint(tmp_path / "last.pt", lambda spec: spec).provenance["begun_with"] is None
    begun = begin(wish(data, tmp_path / "new", init=tmp_path / "last.pt"), Silent()).begun_with
    assert begun is not None
    assert begun["begun_with"] is None
    begin(wish(data, tmp_path, resume=True), Silent()).run()
    assert load_checkpoint(tmp_path / "last.pt").begun_with is None


def test_two_runs_cannot_learn_in_one_folder(tmp_path: Path) -> None:
    """The second one is told who is first before it reads anything; a folder where nothing was written goes again."""
    folder = tmp_path / "runs" / "one"
    with alone(folder):
        assert folder.is_dir()
        with pytest.raises(BusyError, match=r"another bgrd .*already learns in"), alone(folder):
            pytest.fail("there are two")
        assert folder.is_dir()
    assert not folder.exists()
    with alone(folder):
        (folder / "last.pt").touch()
    with alone(folder):
        pass
    assert (folder / "last.pt").exists()


def test_who_draws_samples_does_not_hold_the_folder(tmp_path: Path) -> None:
    """A process forked by a run that was killed may live on for seconds; the next run need not wait for it."""
    with alone(tmp_path):
        forked = get_context("fork").Process(target=_lock_again, args=(tmp_path,))
        forked.start()
        forked.join(20)
        assert forked.exitcode == 0
        with pytest.raises(BusyError), alone(tmp_path):
            pytest.fail("the fork released what is not its own")


def _lock_again(folder: Path) -> None:
    """End with 0 where this process holds no descriptor of the folder and the folder is held all the same."""
    inherited = [
        link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and os.readlink(link) == str(folder)
    ]
    with suppress(BusyError), alone(folder):
        os._exit(2)
    os._exit(len(inherited))


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A file in its place is named."""
    (tmp_path / "run").touch()
    with pytest.raises(CannotCreateError, match="run cannot be made: File exists"), alone(tmp_path / "run"):
        pytest.fail("it cannot be")


def test_weights_that_are_missing_are_told(data: Path, tmp_path: Path) -> None:
    """Growing is as strict as going on: a checkpoint without some of its network's weights is damaged."""
    begin(wish(data, tmp_path / "small"), Silent()).run()
    small = tmp_path / "small" / "last.pt"
    left = load_checkpoint(small)
    kept = {name: value for name, value in left.average.items() if not name.startswith("heads.3")}
    for average in (kept, {}):
        save_checkpoint(small, replace(left, average=average))
        with pytest.raises(TrainingError, match="does not fit the network lite-large; it is damaged"):
            begin(wish(data, tmp_path / "large", given=QUICK | {"network": "lite-large"}, init=small), Silent())


def test_what_another_run_has_learnt_is_not_written_over(data: Path, tmp_path: Path) -> None:
    """The best of a run is looked for as well as the last: of one that was moved or cut short it is all there is."""
    for name, words in (("last.pt", "go on with --resume, or"), ("best.pt", "of a run that left no last.pt:")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b"learnt")
        with pytest.raises(UsageError, match=rf"{name} is there already.*{words} name another --out"):
            begin(wish(data, folder), Silent())
        assert (folder / name).read_bytes() == b"learnt"
