"""The first signal asks, the second one acts."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from agents.stop_signal import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_a_terminal_that_closes_asks_once():
    with StopSignal(lambda: None) as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.is_requested
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopSignal(lambda: None) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_request_in_the_midst_of_a_write_to_a_full_pipe_is_taken():
    reader, writer = os.pipe()
    out = os.fdopen(writer, "wb")

    def drain():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        while os.read(reader, 65536):
            pass

    thread = threading.Thread(target=drain)
    thread.start()
    with StopSignal(lambda: out.write(b"stopping")) as stop:
        out.write(bytes(200_000))  # more than a pipe holds
        out.flush()
        assert stop.is_requested
    out.close()
    thread.join()
    os.close(reader)


def test_afterwards_signals_act_as_before():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with StopSignal(lambda: None):
        assert all(signal.getsignal(number) not in before for number in numbers)
    assert [signal.getsignal(number) for number in numbers] == before
