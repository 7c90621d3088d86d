"""The page of a run, in a browser: it shows what it says, narrow and wide, and asks no network."""

import io
import json
import shutil
import statistics
import subprocess

import imageio_ffmpeg
import pytest
from PIL import Image

from agents import assessment
from agents.errors import UserError
from agents.reporting import records
from agents.reporting.page import page as page_with
from tests.browser import browser, opened
from tests.fake_runs import EVALUATION
from tests.training_process import command

EVALUATED = EVALUATION | {"agent_steps": 600, "iqm": 251.5}


def write_film(path):
    """A second of a test picture."""
    source = ["-f", "lavfi", "-i", "testsrc=size=160x210:duration=1:rate=15"]
    encoder = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *source]
    subprocess.run([*encoder, "-pix_fmt", "yuv420p", path], check=True)


def page(run_dir):
    return page_with(run_dir, assessment.evaluations(run_dir))


def add_games(run_dir):
    """The training of a small run is too short to finish one."""
    with (run_dir / "episodes.csv").open("a") as episodes:
        for number in range(200):
            episodes.write(f"{700 + number},{4 * number},0,{number}.0,1.0,400,100\n")


@pytest.fixture(scope="module")
def finished_run(small_run, tmp_path_factory):
    """A run with an evaluation and films, one of them a GIF only, and a hostile name in it."""
    path = shutil.copytree(small_run, tmp_path_factory.mktemp("page") / "mine")
    (path / "evaluate.jsonl").write_text(json.dumps(EVALUATED) + "\n" + '{"torn')
    add_games(path)
    (path / "videos").mkdir()
    for name in ("best.mp4", "best.gif", "first.gif"):
        write_film(path / "videos" / name)
    (path / "videos" / ".worst.partial.mp4").touch()  # a film that was broken off
    facts = json.loads((path / "run.json").read_text())
    facts["commit"] = "<script>document.title = 'hostile'</script>"
    facts["resumes"] = [facts | {"commit": "abc123", "agent_steps": 1234}]
    (path / "run.json").write_text(json.dumps(facts))
    return path


@pytest.fixture
def own_run(small_run, tmp_path):
    path = shutil.copytree(small_run, tmp_path / "run")
    add_games(path)
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser() as launched:
        yield launched


@pytest.fixture(scope="module")
def html(finished_run):
    path = finished_run.parent / "page.html"
    path.write_text(page(finished_run))
    return path


def colours(locator) -> int:
    """How many the screen shows there."""
    picture = Image.open(io.BytesIO(locator.screenshot())).convert("RGB")
    return len(picture.getcolors(maxcolors=2**24))


def test_a_resumed_run_names_the_commits_that_went_on(html, own_run):
    text = " ".join(html.read_text().split())
    assert "<td>resumed at 1,234 agent steps</td><td>commit abc123</td>" in text
    assert "(or those of the resumes, where they differ)" in text
    assert "resume" not in page(own_run).replace(str(own_run), "")


@pytest.mark.parametrize("width", [360, 1300])
def test_plot_and_films_are_shown_and_nothing_comes_from_elsewhere(chromium, html, width):
    shown, asked = opened(chromium, html, width)
    assert asked == []
    assert shown.title() == "mine: space_invaders", "what a run says of itself is text"
    scroll_width = shown.evaluate("document.scrollingElement.scrollWidth")
    assert scroll_width == width, "nothing sticks out"
    assert shown.evaluate("document.querySelector('img.curve').naturalWidth") > 300
    assert colours(shown.locator("img.curve")) > 20
    assert shown.locator("video").count() == 1, "a GIF gives way to the mp4 of its name"
    shown.evaluate(
        """async () => {
            const film = document.querySelector('video');
            await film.play();
            while (film.currentTime < 0.2) await new Promise(done => setTimeout(done, 20));
            film.pause();
        }"""
    )
    assert shown.evaluate("[video = document.querySelector('video'), video.videoWidth][1]") == 160
    assert colours(shown.locator("video")) > 20
    assert shown.evaluate("document.querySelector('.films img').naturalWidth") == 160
    shown.close()


def test_it_tells_of_the_run(chromium, html, finished_run):
    shown, _ = opened(chromium, html, 1300)
    text = shown.locator("body").inner_text()
    for told in (
        "DQN on space_invaders, 899 agent steps",
        "600\tdopamine\t0.001\t2\t257.1\t38.8\t250.0\t251.5",
        "agent steps per second, median",
        "memory, at most",
        "<script>",
        "tensorflow 2.15.1",
        "python launch/train.py --run_dir=FOLDER",
    ):
        assert told in text
    shown.locator("summary", has_text="config.gin").click()
    config = (finished_run / "config.gin").read_text()
    assert shown.locator("details pre").inner_text().strip() == config.strip()
    shown.close()


def test_a_running_run_without_evaluation_and_films_has_a_page(own_run):
    (events,) = (own_run / "events").iterdir()
    events.write_bytes(events.read_bytes()[:-5])
    with (own_run / "evaluations.jsonl").open("a") as file:
        file.write('{"agent_steps": 700, "me')
    text = page(own_run)
    assert "None yet: <code>python launch/evaluate.py" in text
    assert "<video" not in text
    assert len(records.evaluations(own_run)) == text.count("<td>1</td>\n")


def test_a_run_without_a_finished_game_has_a_page(chromium, small_run, tmp_path):
    young = shutil.copytree(small_run, tmp_path / "young")
    (young / "evaluate.jsonl").write_text(json.dumps(EVALUATED) + "\n")
    (tmp_path / "page.html").write_text(page(young))
    shown, _ = opened(chromium, tmp_path / "page.html", 1300)
    text = shown.locator("body").inner_text()
    for told in (
        "600 agent steps, 0 games",
        "No game of the training was over yet.",
        "600\tdopamine\t0.001\t2\t257.1",
        "agent steps per second, median",
    ):
        assert told in text
    assert shown.locator("img.curve").count() == 0
    shown.close()


def test_a_run_without_event_files_has_a_page(own_run):
    shutil.rmtree(own_run / "events")
    text = page(own_run)
    assert "899 agent steps" in text
    assert "<td>time</td>" not in text, "which is not known"


def test_speed_is_that_of_tensorboard(own_run):
    scalars = records.scalars(own_run)
    steps = [agent_steps for agent_steps, _ in scalars["4_speed/agent_steps_per_second"]]
    assert steps == sorted(steps)
    assert 100 <= steps[0] <= 110
    assert 0.1 < max(value for _, value in scalars["4_speed/memory_gigabytes"]) < 100
    median = statistics.median(value for _, value in scalars["4_speed/updates_per_second"])
    assert f"<td>updates per second, median</td><td>{median:.1f}</td>" in page(own_run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "is no run directory"),
        ("run.json", None, "run.json cannot be read"),
        ("run.json", "[1]", "run.json cannot be read"),
        ("run.json", "{}", "is not whole"),
        ("evaluate.jsonl", "{}\n", "is not whole"),
        ("evaluate.jsonl", "nonsense\n", "evaluate.jsonl is damaged"),
        ("evaluate.jsonl", "5\n", "evaluate.jsonl is damaged"),
        ("videos/best.mp4", "nonsense", "best.mp4 is no film: record it again, or remove it"),
        ("videos/best.gif", "", "best.gif is no film"),
        ("episodes.csv", None, "is no run"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(own_run, name, content, message):
    path = own_run / name
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        page(own_run)


def test_the_command_writes_the_page(finished_run, tmp_path):
    written = command(tmp_path, f"--run_dir={finished_run}", "--out=page.html", name="report")
    assert (written.exit_code, written.stdout[:10]) == (0, "page.html "), written.stderr
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    for arguments, message in (
        ([], "name a run"),
        (["--run_dir=nowhere"], "nowhere is no run directory"),
        ([f"--run_dir={finished_run}", "--out=no/page.html"], "no/page.html cannot be written"),
    ):
        refused = command(tmp_path, *arguments, name="report")
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert message in refused.stderr
