"""`arcadia.rl` for `rl`: one spelling of imports in a checkout and where a wheel is installed.

In a checkout `backbones`, `rl` and `tasks` lie beside arcadia.py; a wheel has them inside `arcadia`
(see setup.py). A module of a user's imports `arcadia.tasks.task` in both: here that name gives the
very same module as `tasks.task`, not a second copy.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class OtherName(Loader):
    """Loads a module under its own name, and gives it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has run already; only its spec was replaced by that of the other name.
        module.__spec__ = self.spec


class Parts(MetaPathFinder):
    """Finds `whole.part...` as `part...`, for some top-level packages."""

    def __init__(self, whole: str, parts: Sequence[str]) -> None:
        self.prefix, self.parts = f"{whole}.", set(parts)

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        name = fullname.removeprefix(self.prefix)
        if name == fullname or name.partition(".")[0] not in self.parts:
            return None
        return ModuleSpec(fullname, OtherName(name), is_package=True)


def parts_of(whole: str, parts: Sequence[str]) -> list[str]:
    """Let `whole.part` mean the top-level package `part`; return the `__path__` of `whole`."""
    # Before the others: a part's own folder is where they would find a second copy.
    sys.meta_path.insert(0, Parts(whole, parts))
    return []
