"""A polite stop: SIGINT or SIGTERM goes in, a flag that a loop can look at comes out."""

import signal
from collections.abc import Callable
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """A context in which the first signal asks to stop; the next one ends the process at once.

    At once, since the operating system then does it: a handler of Python's would wait for a long
    call into C++, such as the saving of a large replay.
    """

    def __init__(self, on_request: Callable[[], None]):
        self.is_requested = False
        self._on_request = on_request

    def __enter__(self) -> "StopSignal":
        self._outside = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *exc_info: Any) -> None:
        for number, handler in self._outside.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        for both in _SIGNALS:
            signal.signal(both, signal.SIG_DFL)
        self.is_requested = True
        self._on_request()
