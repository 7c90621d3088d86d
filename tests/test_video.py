"""What was written is decoded again: size, number, speed and colours of the frames."""

import itertools

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from agents.errors import UserError
from agents.reporting import video

COLOURS = [(200, 72, 72), (80, 180, 60), (40, 40, 220)]


def frames(count, height=42, width=64):
    """A bar that moves a pixel a frame over a ground that changes its colour each second."""
    for i in range(count):
        frame = np.full((height, width, 3), COLOURS[i // 60 % 3], np.uint8)
        frame[:, i % width] = 255
        yield frame


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "new" / "film"
    video.write(frames(130), path, ["mp4", "gif", "gif"], gif_seconds=1.5)
    return path


def test_the_mp4_has_every_frame_at_60_a_second(path):
    reader = imageio_ffmpeg.read_frames(str(path.with_suffix(".mp4")))
    meta = next(reader)
    decoded = [np.frombuffer(frame, np.uint8).reshape(42, 64, 3) for frame in reader]
    assert (meta["fps"], meta["size"], meta["pix_fmt"][:7]) == (60, (64, 42), "yuv420p")
    assert len(decoded) == 130
    for i, frame in enumerate(decoded):
        ground = np.delete(frame, np.arange(i - 3, i + 4) % 64, axis=1)
        assert np.abs(ground.mean(axis=(0, 1)) - COLOURS[i // 60 % 3]).max() < 12


def test_the_gif_shows_the_beginning_at_true_speed(path):
    gif = Image.open(path.with_suffix(".gif"))
    assert gif.info["loop"] == 0, "for ever"
    shown, milliseconds = [], []
    for i in range(gif.n_frames):
        gif.seek(i)
        shown.append(np.asarray(gif.convert("RGB")))
        milliseconds.append(gif.info["duration"])
    assert len(shown) == 23  # 90 frames, four by four
    assert milliseconds[:6] == [70, 70, 60, 70, 70, 60]
    for i, frame in enumerate(shown):
        last = min(4 * i + 3, 89)
        assert tuple(frame[0, 60 if last < 50 else 0]) == COLOURS[last // 60]
        assert (frame[:, [(last - 1) % 64, last % 64]] == 255).all(), "the brightest of two"


def test_nothing_else_lies_there(path):
    assert sorted(file.name for file in path.parent.iterdir()) == ["film.gif", "film.mp4"]


def test_a_film_that_breaks_off_leaves_the_one_before(tmp_path):
    def broken():
        yield from frames(3)
        raise RuntimeError

    (tmp_path / "film.mp4").write_bytes(b"before")
    with pytest.raises(RuntimeError):
        video.write(broken(), tmp_path / "film", ["mp4"], 1)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


def test_what_cannot_be_written_is_named_before_a_frame_is_made(tmp_path):
    (tmp_path / "file").touch()
    made = itertools.count()
    with pytest.raises(UserError, match=r"file.film cannot be written .*choose another --out_dir"):
        video.write((next(made) for _ in range(3)), tmp_path / "file" / "film", ["mp4"], 1)
    assert next(made) == 0
