"""A person's own callback of stable-baselines3 for the stock jobs: `--callback module:Class`.

It is called beside ours, so it sees SB3's model and may stop the run by returning False. Its module
is imported as that of a game is: because a person typed it, or trained the run here.
"""

from stable_baselines3.common.callbacks import BaseCallback

from backbones.training.checks import trust
from backbones.training.errors import UserError
from backbones.training.jobs import import_own
from backbones.training.run import Run


def load_callback(name: str, run: Run | None = None) -> BaseCallback | None:
    """Return the callback `module:Class`, made without arguments; None for "".

    `run` is the run whose config names it, where no person did now. UserError if there is none, or
    nobody trusts its module.
    """
    if not name:
        return None
    module_name, _, class_name = name.rpartition(":")
    names = [*module_name.split("."), class_name]
    if not all(map(str.isidentifier, names)):
        raise UserError(f"--callback {name} must be module:Class, such as mycallbacks:StopAt20")
    if run is not None and not trust.is_remembered(run.folder, run.about):
        trust.require_typed_callback(name, run.name)
    try:
        module = import_own(module_name)
    except ModuleNotFoundError as error:
        raise UserError(f"--callback {name}: there is no module {error.name}") from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, BaseCallback)):
        known = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, BaseCallback)
            and value.__module__ == module_name
        ]
        has = f"it has {', '.join(known)}" if known else "it has no callback at all"
        raise UserError(
            f"--callback {name}: {module_name} has no BaseCallback of stable-baselines3 called "
            f"{class_name}; {has}"
        )
    try:
        return found()
    except TypeError as error:
        raise UserError(f"--callback {name} must be made without arguments ({error})") from None
