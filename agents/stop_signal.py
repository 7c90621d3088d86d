"""A polite stop: SIGINT, SIGTERM or SIGHUP goes in, a flag that a loop can look at comes out."""

import contextlib
import signal
from collections.abc import Callable
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """A context in which the first signal asks to stop; the next one ends the process at once.

    At once, since the operating system then does it: a handler of Python's would wait for a long
    call into C++, such as the saving of a large replay. A terminal that closes sends more than one
    SIGHUP, so the next of these are ignored, and under nohup, all.
    """

    def __init__(self, on_request: Callable[[], None]):
        self.is_requested = False
        self._on_request = on_request

    def __enter__(self) -> "StopSignal":
        ignores_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        numbers = _SIGNALS if ignores_hangup else (*_SIGNALS, signal.SIGHUP)
        self._outside = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *exc_info: Any) -> None:
        for number, handler in self._outside.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        for each in self._outside:
            signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)
        self.is_requested = True
        # What tells of it may be what was interrupted, or the terminal gone.
        with contextlib.suppress(RuntimeError, OSError):
            self._on_request()
