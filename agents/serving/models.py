"""Models: base directories go in, the versions that are to be served are in memory.

A new version is loaded while the old one answers, and takes over when it is ready. A request that
has begun keeps its version in memory to the end.
"""

import asyncio
import collections
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_pb2
from tensorflow_serving.config import model_server_config_pb2

from agents.memory import occupied_bytes
from agents.serving.servable import Servable
from agents.serving.status import RequestError, invalid

_POLL_SECONDS = 1
_MAX_FAILURES = 5  # of a version as it is; one that is still being copied grows
_MAX_VERSION = 2**63 - 1  # what TF Serving's messages hold

Status: TypeAlias = get_model_status_pb2.ModelVersionStatus


class Models:
    """All models of a server, by name."""

    def __init__(
        self,
        configs: Sequence[model_server_config_pb2.ModelConfig],
        on_batch: Callable[[int], None],
        report: Callable[[str], None],
    ):
        """Nothing is loaded before the first `poll`.

        Args:
          configs: of TF Serving; `name`, `base_path`, `model_version_policy`, `version_labels`.
          on_batch: told how many rows each batch has.
          report: told, in one line, which version comes and goes.
        """
        self._models = {config.name: _Model(config, on_batch, report) for config in configs}

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def has_versions(self, name: str) -> bool:
        """Whether one of this model is loaded."""
        return bool(self._models[name].servables)

    async def poll(self) -> None:
        """Looks at the directories once; loads, then unloads."""
        await asyncio.gather(*(model.poll() for model in self._models.values()))

    async def watch(self) -> None:
        """Polls for ever."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self.poll()

    def find(self, spec: model_pb2.ModelSpec) -> Servable:
        """The version that a request names, by number or label; else the latest.

        Raises:
          RequestError: there is none.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        version = self._version(spec)
        servables = self._models[spec.name].servables if spec.name in self else {}
        if version is None and servables:
            return servables[max(servables)]
        if version not in servables:
            wanted = (
                f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
            )
            raise RequestError(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}"
            )
        return servables[version]

    def statuses(self, spec: model_pb2.ModelSpec) -> list[Status]:
        """Of the version that is named, or of all, the latest first.

        Raises:
          RequestError: there is none.
        """
        known = self._models[spec.name].statuses if spec.name in self else {}
        version = self._version(spec)
        if version is None and known:
            return [known[number] for number in sorted(known, reverse=True)]
        if version not in known:
            wanted = "any versions" if version is None else f"version {version}"
            raise RequestError(
                grpc.StatusCode.NOT_FOUND, f"Could not find {wanted} of model {spec.name}"
            )
        return [known[version]]

    def _version(self, spec: model_pb2.ModelSpec) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            labels = self._models[spec.name].labels if spec.name in self else {}
            if spec.version_label not in labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            return labels[spec.version_label]
        return spec.version.value if choice == "version" else None


class _Model:
    def __init__(
        self,
        config: model_server_config_pb2.ModelConfig,
        on_batch: Callable[[int], None],
        report: Callable[[str], None],
    ):
        self.labels: Mapping[str, int] = dict(config.version_labels)
        self.servables: dict[int, Servable] = {}
        self.statuses: dict[int, Status] = {}
        self._config = config
        self._on_batch = on_batch
        self._report = report
        self._failures = collections.Counter[tuple[int, int]]()  # by version and its bytes

    async def poll(self) -> None:
        try:
            names = [path.name for path in Path(self._config.base_path).iterdir()]
        except OSError:
            return  # out of reach for now; what is loaded stays
        there = {
            int(name): name
            for name in names
            if name.isascii() and name.isdecimal() and int(name) <= _MAX_VERSION
        }
        for key in [key for key in self._failures if key[0] not in there]:
            del self._failures[key]
        wanted = self._wanted(sorted(there))
        for version in wanted:
            if version in self.servables:
                continue
            directory = Path(self._config.base_path, there[version])
            key = version, occupied_bytes(directory)
            if self._failures[key] < _MAX_FAILURES and not await self._load(version, directory):
                self._failures[key] += 1
        if self.servables.keys() & wanted or not wanted:
            for version in self.servables.keys() - wanted:
                self._unload(version)

    def _wanted(self, there: list[int]) -> set[int]:
        policy = self._config.model_version_policy
        choice = policy.WhichOneof("policy_choice")
        if choice == "all":
            return set(there)
        if choice == "specific":
            return set(there) & set(policy.specific.versions)
        return set(there[-max(policy.latest.num_versions, 1) :])

    async def _load(self, version: int, directory: Path) -> bool:
        self._set(version, Status.LOADING)
        try:
            servable = await asyncio.to_thread(Servable, directory, version, self._on_batch)
        except Exception as e:  # whatever is wrong with a version, the others are served
            message = " ".join(str(e).split())
            self._set(version, Status.END, grpc.StatusCode.UNKNOWN, message)
            self._report(f"{self._config.name}: version {version} cannot be loaded: {message}")
            return False
        self.servables[version] = servable
        self._set(version, Status.AVAILABLE)
        self._report(f"{self._config.name}: version {version} is served")
        return True

    def _unload(self, version: int) -> None:
        del self.servables[version]
        self._set(version, Status.END)
        self._report(f"{self._config.name}: version {version} is no longer served")

    def _set(
        self,
        version: int,
        state: int,
        code: grpc.StatusCode = grpc.StatusCode.OK,
        message: str = "",
    ) -> None:
        status = Status(version=version, state=state)
        status.status.error_code = code.value[0]
        status.status.error_message = message
        self.statuses[version] = status
