"""The error of a request: a gRPC status code and a message, where TF Serving has one, its own."""

import grpc


class RequestError(Exception):
    """A request that cannot be answered."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RequestError:
    """INVALID_ARGUMENT."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
