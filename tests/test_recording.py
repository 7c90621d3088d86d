"""Films of a real run: the chosen games, and all kept agents in one; the command around it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from agents import assessment, configuration, players, recording
from agents.errors import UserError
from tests.fake_runs import replace_best

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run_dir(small_run, tmp_path_factory):
    """A run of games of 400 frames at most."""
    copy = shutil.copytree(small_run, tmp_path_factory.mktemp("recorded") / "run")
    with (copy / "config.gin").open("a") as config:
        config.write("AtariEnvironment.max_frames_per_episode = 400\n")
    replace_best(copy, checkpoint=304, agent_steps=200)
    yield copy
    configuration.load([])


def test_the_best_and_the_worst_game_are_filmed(run_dir):
    player = players.from_run(run_dir)
    evaluator = assessment.evaluator(player, episodes=4, epsilon=1.0, seed=2)
    scores = evaluator.run().scores
    films = recording.chosen_games(
        *(player, evaluator, ["worst", "best", "first"]),
        scale=1,
        overlay=False,
        progress=lambda *_: None,
    )
    assert [film.name for film in films] == ["600_worst", "600_best", "600_first"]
    assert scores.min() < scores.max()
    for film, game in zip(films, (scores.argmin(), scores.argmax(), 0), strict=True):
        last = list(film.frames)[-1]
        *_, screens = evaluator.environment(int(game), 1).screens(
            2 + int(game), evaluator.run().actions[game]
        )
        assert (last == screens[-1]).all()


def test_the_progress_of_a_run_is_every_agent_in_turn(run_dir):
    calls = []
    film = recording.progress_of_run(
        *(run_dir, None, {"epsilon": 0.5}),
        scale=1,
        overlay=False,
        progress=lambda *call: calls.append(call),
    )
    frames = list(film.frames)
    assert film.name == "progress"
    assert 4 * 380 < len(frames) <= film.length_frames + 4
    captions = {frame[:20].tobytes() for frame in frames}
    assert len(captions) >= 4, "0, 200, 304 and 600 agent steps"
    assert calls[-1] == (1, max(steps for _, steps in calls))


def test_a_run_without_agents_has_no_progress(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    for name in ("best", "checkpoints", "snapshots"):
        shutil.rmtree(copy / name)
    with pytest.raises(UserError, match="has no checkpoint yet"):
        recording.progress_of_run(copy, None, {}, scale=1, overlay=False, progress=lambda *_: None)


def record(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "launch" / "record.py"), *arguments]
    env = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    env["PYTHONPATH"] = str(ROOT)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_command_writes_films_into_the_run(run_dir):
    run = record("--run_dir=run", "--episodes=2", "--overlay", "--scale=1", folder=run_dir.parent)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "run/videos/600_best.mp4\nrun/videos/600_best.gif\n"
    meta = next(imageio_ffmpeg.read_frames(str(run_dir / "videos" / "600_best.mp4")))
    assert meta["size"] == (160 + 376, 230)
    assert Image.open(run_dir / "videos" / "600_best.gif").size == (160 + 376, 230)


def test_where_films_cannot_be_written_no_game_is_played(run_dir, tmp_path):
    (tmp_path / "file").touch()
    run = record(f"--run_dir={run_dir}", "--out_dir=file/films", folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        "error: file/films cannot be written ([Errno 20] Not a directory: 'file/films'): "
        "choose another --out_dir\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a run: --run_dir="),
        (("--run_dir=run", "--progress", "--games=worst"), "leave out --games"),
        (("--run_dir=run", "--games=longest"), "should be one of <first|best|worst>"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(tmp_path, arguments, message):
    run = record(*arguments, folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
