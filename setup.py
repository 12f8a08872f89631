"""What pyproject.toml cannot say: the resources lie beside the package here, and inside it once built."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithResources(build_py):
    """Builds the package with its icons, fonts, guide, prompts and probes."""

    def run(self) -> None:
        """Copy them after the code; an editable installation finds them where they are."""
        super().run()
        if not self.editable_mode:
            shutil.copytree("resources", Path(self.build_lib) / "rlhf_desktop" / "resources", dirs_exist_ok=True)


setup(cmdclass={"build_py": WithResources})
