"""What can be wrong with a data set."""


class DataError(RuntimeError):
    """Something is wrong with the pictures or their download; the message says what to do."""
