"""What a user can get wrong."""


class UserError(ValueError):
    """A mistake that its message can mend: the command prints the line and exits with 2.

    The message says what was given, what was expected and what to do.
    """


class NewerFormat(UserError):
    """A file was written by a newer version. It is not damaged, so nothing may step around it."""
