"""What is compiled, for the limited API (one wheel for all Pythons from 3.11): the CPU kernel, a live message's
way through the service, and training's layers, plain libraries that are called through ctypes."""

import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.editable_wheel import editable_wheel

FLAGS = ["-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"]
if sys.platform == "win32":
    FLAGS = [f"/clang:{flag}" for flag in FLAGS]

LINKS = Path(".packages")


class WithClang(build_ext):
    """On Windows the C is clang's: Microsoft's compiler has no vector types. Never run, as the release workflow."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "msvc":
            self.compiler.initialize()
            self.compiler.cc = "clang-cl"
        super().build_extensions()


class Editable(editable_wheel):
    """`pip install -e`: a folder of links to the packages under their names, on the path as a src/ would be.

    Setuptools' own way, hooks into import, hides packages and their types from mypy, pyright and editors.
    """

    def finalize_options(self) -> None:
        packages = self.distribution.package_dir or {}
        try:
            LINKS.mkdir(exist_ok=True)
            for name, folder in packages.items():
                (LINKS / name).unlink(missing_ok=True)
                (LINKS / name).symlink_to(Path(folder).resolve(), target_is_directory=True)
            self.distribution.package_dir = {"": str(LINKS)}
        except OSError:  # Windows gives links to developers only: hooks, then
            pass
        super().finalize_options()


setup(
    cmdclass={"build_ext": WithClang, "editable_wheel": Editable},
    ext_modules=[
        Extension(
            "gtcrn.kernel._gtcrn",
            sources=sorted(glob("gtcrn/kernel/*.c")),
            depends=sorted(glob("gtcrn/kernel/*.h")),
            extra_compile_args=FLAGS,
            py_limited_api=True,
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
        ),
        Extension(
            "gtcrn_server.native._lane",
            sources=sorted(glob("server/native/*.c")),
            depends=sorted(glob("server/native/*.h")),
            extra_compile_args=FLAGS,
            py_limited_api=True,
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
        ),
        *(
            Extension(
                f"gtcrn_recipes.native._layers_{instructions}",
                sources=[f"recipes/native/{instructions}.c"],
                depends=sorted(glob("recipes/native/*.h")),
                extra_compile_args=FLAGS,
                py_limited_api=True,
                extra_link_args=["-pthread"],
                optional=True,  # training falls back to torch; who only denoises must not fail here
            )
            for instructions in ("base", "avx2", "avx512")
        ),
    ],
)
