"""Hub: an evaluated run goes in, a repository of the Hugging Face hub comes out; and back.

A repository is a run directory with one checkpoint, without its replay:

    README.md                          the model card
    config.gin, config.json, run.json  as the training wrote them
    evaluate.jsonl                     the evaluation that the card tells of
    evaluations.jsonl, episodes.csv    the record of the training
    checkpoints/000000500000/          the networks (TensorFlow variables, no code) and a manifest
    replay.mp4                         the newest film of the run, if it has one

What was loaded is data: nothing of it is run or unpickled. Its configuration is parsed as gin,
which evaluates nothing, and refused unless all that it binds and names is this package's own.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
from httpx2 import ConnectError, ConnectTimeout, HTTPError, ProxyError  # of huggingface_hub
from huggingface_hub.errors import HFValidationError

from agents import assessment, checkpoints, configuration
from agents.checkpoints import Checkpoints
from agents.errors import UserError
from agents.reporting.model_card import model_card
from agents.restoring import restore_agent
from agents.run_directory import check_is_run

_CONFIGURATION = ("config.gin", "config.json", "run.json")
_RECORD = ("evaluations.jsonl", "episodes.csv")
_CHECKPOINTS = "checkpoints/*"
_VIDEO = "replay.mp4"
_LOADED = [*_CONFIGURATION, *_RECORD, "README.md", "evaluate.jsonl", _VIDEO, _CHECKPOINTS]


def push(run_dir: Path, repo_id: str, *, private: bool) -> str:
    """Uploads the checkpoint that was evaluated last, in one commit.

    Args:
      run_dir: of a training, running or not.
      repo_id: "user/name"; made if there is none.
      private: whether a repository that is made can be seen by its owner only.

    Returns:
      The repository's address.

    Raises:
      UserError: there is no evaluation or no checkpoint of it, or the hub refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        _stage(run_dir, repo_id, Path(folder))
        with _hub_errors(repo_id):
            hub = huggingface_hub.HfApi()
            address = hub.create_repo(repo_id, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=f"Push {run_dir.name}",
                delete_patterns=[_CHECKPOINTS, _VIDEO],  # those of an earlier push
            )
    return str(address)


def _stage(run_dir: Path, repo_id: str, folder: Path) -> None:
    check_is_run(run_dir)
    evaluation = assessment.newest(run_dir)
    _check_configuration(run_dir, str(run_dir))
    restored = restore_agent(run_dir, evaluation["agent_steps"])
    _check_agreement(run_dir, str(run_dir))
    checkpoints.save_networks(folder / "checkpoints", restored.agent_steps, restored.agent)
    for name in _CONFIGURATION:
        shutil.copy(run_dir / name, folder)
    for name in _RECORD:
        if (run_dir / name).exists():
            shutil.copy(run_dir / name, folder)
    films = sorted(run_dir.glob("videos/[!.]*.mp4"), key=lambda path: path.stat().st_mtime)
    if films:
        shutil.copy(films[-1], folder / _VIDEO)
    (folder / "evaluate.jsonl").write_text(json.dumps(evaluation) + "\n")
    (folder / "README.md").write_text(model_card(repo_id, evaluation, has_video=bool(films)))


def load(repo_id: str, run_dir: Path) -> None:
    """Downloads a repository as a run directory that can be evaluated, recorded and exported.

    Args:
      repo_id: "user/name".
      run_dir: is made.

    Raises:
      UserError: it exists, the hub refuses, or the repository holds no run or an unsafe one.
    """
    if run_dir.exists():
        raise UserError(f"{run_dir} exists and is never overwritten: choose another --run_dir")
    try:
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{run_dir.name}.", dir=run_dir.parent))
    except OSError as e:
        raise UserError(f"{run_dir} cannot be made ({e}): choose another --run_dir") from e
    try:
        with _hub_errors(repo_id):
            huggingface_hub.snapshot_download(repo_id, local_dir=aside, allow_patterns=_LOADED)
        shutil.rmtree(aside / ".cache", ignore_errors=True)  # the client's notes
        _check(aside, repo_id)
        aside.chmod(0o755)
        aside.rename(run_dir)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check(folder: Path, repo_id: str) -> None:
    _check_configuration(folder, repo_id)
    configuration.load([str(folder / "config.gin")], are_composed=True)
    configuration.check_own()
    _check_agreement(folder, repo_id)
    if Checkpoints(folder / "checkpoints").latest(lambda damage: None) is None:
        raise UserError(f"{repo_id} holds no checkpoint")


def _check_agreement(folder: Path, called: str) -> None:
    """What reports read of a run must be its configuration, which is in force."""
    try:
        described = json.loads((folder / "config.json").read_text())
        differing = configuration.differences(described, configuration.bindings())
    except (ValueError, AttributeError, TypeError) as e:
        raise UserError(
            f"{called} has a config.json that cannot be read ({e}): take the training's own"
        ) from e
    if differing:
        raise UserError(
            f"{called} has a config.json that is not of its config.gin ({differing[0]}): take both "
            "as the training wrote them"
        )


def _check_configuration(folder: Path, called: str) -> None:
    missing = [name for name in _CONFIGURATION if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{called} holds no run of atari-dqn: it has no {', '.join(missing)}")


@contextlib.contextmanager
def _hub_errors(repo_id: str) -> Iterator[None]:
    try:
        yield
    except (HFValidationError, HTTPError, OSError, ValueError) as e:
        # A download hides it behind an error about the client's cache.
        lost = (ConnectError, ConnectTimeout, ProxyError)
        if error := next((x for x in (e, e.__cause__) if isinstance(x, lost)), None):
            # Without "[Errno -2] ".
            reason = str(error).rpartition("] ")[2] or type(error).__name__
            raise UserError(
                f"there is no connection to {huggingface_hub.constants.ENDPOINT} ({reason}): look "
                "at the network and its proxies, and at HF_ENDPOINT"
            ) from e
        # The client's messages are paragraphs; the first line says what it is.
        first = next(iter(str(e).strip().splitlines()), type(e).__name__)
        raise UserError(
            f"{repo_id} on {huggingface_hub.constants.ENDPOINT}: {first} "
            "(the name is user/name; `hf auth login` or HF_TOKEN says who you are)"
        ) from e
