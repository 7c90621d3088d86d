"""In: what a user did wrong and the remedy, as one line. Out: the exception that commands print."""


class UserError(Exception):
    """A mistake of the user's, not of the program's: commands print its line and exit with 2.

    gin appends lines of its own ("In call to configurable ...") to every exception that leaves a
    configurable, so only the first line is meant for the user; `str(error).splitlines()[0]`.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


class NotYetError(UserError):
    """A run has not got as far as is asked for; where there are others, it can be left out."""


def require(name: str, value: float | None, holds: bool, range_: str) -> None:
    """Raises a UserError, "NAME must be RANGE, got VALUE", unless the value's condition holds."""
    if not holds:
        raise UserError(f"{name} must be {range_}, got {value}")
