"""In: what a user did wrong and the remedy, as one line. Out: the exception that commands print."""


class UserError(Exception):
    """A mistake of the user's, not of the program's: commands print its line and exit with 2.

    gin appends lines of its own ("In call to configurable ...") to every exception that leaves a
    configurable, so only the first line is meant for the user; `str(error).splitlines()[0]`.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
