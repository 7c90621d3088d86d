"""Ports: where a server is to listen goes in, what is in its way comes out."""

import socket


def obstacle(host: str, port: int) -> str | None:
    """Why nothing can listen there, in the system's words; None where something can.

    Two Reverb servers would share a port without a word, and gRPC says little, so ask before.

    Args:
      host: of the interface; "" is all of them.
      port: 0 is any that is free.
    """
    try:
        # Reuses the address, as gRPC does: what a stopped server has left behind is no obstacle.
        socket.create_server((host, port)).close()
    except OSError as e:
        return e.strerror
    return None
