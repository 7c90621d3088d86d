"""Video: the frames of a film go in, 60 a second; an mp4 and a gif come out, without a display."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from agents.errors import UserError

FRAMES_PER_SECOND = 60  # of the Atari 2600
_FRAMES_PER_IMAGE = 4  # of a gif: 15 a second, since viewers slow down at more than 50
_IMAGE_MILLISECONDS = (70, 70, 60)  # gif counts in hundredths; these three last 3 / 15 s
FORMATS = ("mp4", "gif")


def check_directory(directory: Path) -> None:
    """Makes the directory of films that are yet to be made, and writes into it on trial.

    Raises:
      UserError: it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as e:
        raise _cannot_be_written(directory, e) from e


def _cannot_be_written(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written ({error}): choose another --out_dir")


def write(
    frames: Iterable[np.ndarray], path: Path, formats: Sequence[str], gif_seconds: float
) -> None:
    """Writes one film in one or both formats; a file is there when it is whole.

    The gif shows every fourth frame at true speed, each the brightest of two, as the games draw
    some things in every second frame only.

    Args:
      frames: uint8 [H, W, 3] RGB, all of one even size.
      path: without its ending.
      formats: of `FORMATS`.
      gif_seconds: the gif ends after them, since it grows by megabytes a minute.

    Raises:
      UserError: the files cannot be written.
    """
    formats = list(dict.fromkeys(formats))
    partial = {name: path.with_name(f".{path.name}.partial.{name}") for name in formats}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in formats:
            partial[name].touch()
        stream = iter(frames)
        if "gif" in formats:
            shown = list(itertools.islice(stream, int(gif_seconds * FRAMES_PER_SECOND)))
            _write_gif(shown, partial["gif"])
            stream = itertools.chain(shown, stream)
        if "mp4" in formats:
            _write_mp4(stream, partial["mp4"])
        for name in formats:
            partial[name].replace(path.with_name(f"{path.name}.{name}"))
    except OSError as e:
        raise _cannot_be_written(path, e) from e
    finally:
        for file in partial.values():
            if file.exists():
                file.unlink()


def _write_mp4(frames: Iterator[np.ndarray], path: Path) -> None:
    import imageio_ffmpeg  # of the extra `video`

    first = next(frames)
    encoder = imageio_ffmpeg.write_frames(
        str(path),
        (first.shape[1], first.shape[0]),
        fps=FRAMES_PER_SECOND,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=["-crf", "23", "-movflags", "+faststart"],
    )
    with contextlib.closing(encoder):
        encoder.send(None)
        for frame in itertools.chain([first], frames):
            encoder.send(np.ascontiguousarray(frame))


def _write_gif(frames: Sequence[np.ndarray], path: Path) -> None:
    images = [
        Image.fromarray(np.maximum.reduce(frames[i : i + _FRAMES_PER_IMAGE][-2:]))
        for i in range(0, len(frames), _FRAMES_PER_IMAGE)
    ]
    # One palette for all, from some: a game has 128 colours.
    some = np.concatenate([np.asarray(image) for image in images[:: len(images) // 10 + 1]])
    palette = Image.fromarray(some).quantize(256, dither=Image.Dither.NONE)
    first, *rest = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
    durations = list(itertools.islice(itertools.cycle(_IMAGE_MILLISECONDS), len(images)))
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)
