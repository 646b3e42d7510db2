"""How the checkout becomes a wheel: everything moves under one name, `arcadia`.

In the checkout `backbones`, `rl`, `tasks`, `suites` and `web` lie beside arcadia.py, and `pip
install -e .` leaves them there. In site-packages such names would stand beside other people's
packages (PyPI has an `rl`), so a wheel holds `arcadia/backbones`, `arcadia/rl` and so on, and
`arcadia/runs/zoo`, and imports are rewritten while they are copied. See docs/decisions.md.
"""

import re
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOMS = ("backbones", "rl", "tasks", "suites", "web")
NAMES = "|".join(ROOMS)
# `from rl.ppo import ...`, `import tasks`; and modules in strings: "rl.ppo", f"rl.go.{name}".
IMPORT = re.compile(rf"^(\s*(?:from|import) )({NAMES})(?=[.\s])", re.MULTILINE)
STRING = re.compile(rf"""(["'])({NAMES})\.(?=[a-z])""")
MAIN = '"""`python -m arcadia`."""\n\nimport sys\n\nfrom arcadia import main\n\nsys.exit(main())\n'


def under_one_name(text: str) -> str:
    """Return a module's source with the packages of the checkout as parts of `arcadia`."""
    return STRING.sub(r"\1arcadia.\2.", IMPORT.sub(r"\1arcadia.\2", text))


class BuildUnderOneName(build_py):
    """Copies modules with their imports rewritten, and what lies beside the packages."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "arcadia"
        (package / "__init__.py").write_text(under_one_name(Path("arcadia.py").read_text()))
        (package / "__main__.py").write_text(MAIN)
        for place in ("runs/zoo", "web/page", "web/static"):
            shutil.rmtree(package / place, ignore_errors=True)
            shutil.copytree(place, package / place)

    def build_module(self, module, module_file, package):  # type: ignore[no-untyped-def]
        copied = super().build_module(module, module_file, package)
        path = Path(self.get_module_outfile(self.build_lib, package.split("."), module))
        path.write_text(under_one_name(path.read_text()))
        return copied


rooms = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
if "editable_wheel" in sys.argv:
    setup(py_modules=["arcadia"], packages=rooms)
else:
    setup(
        packages=[f"arcadia.{room}" for room in rooms],
        package_dir={f"arcadia.{room}": room for room in ROOMS},
        cmdclass={"build_py": BuildUnderOneName},
    )
