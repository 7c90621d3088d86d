"""The first signal asks, the second one acts."""

import os
import signal
import subprocess
import sys

import pytest

from agents.stop_signal import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks(number):
    told = []
    with StopSignal(lambda: told.append(True)) as stop:
        assert not stop.is_requested
        os.kill(os.getpid(), number)
        assert stop.is_requested
    assert told == [True]


def test_the_second_one_ends_the_process():
    code = (
        "import os, signal\nfrom agents.stop_signal import StopSignal\n"
        "with StopSignal(lambda: print('asked', flush=True)):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGINT
    assert ended.stdout == "asked\n"


def test_afterwards_signals_act_as_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopSignal(lambda: None):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
