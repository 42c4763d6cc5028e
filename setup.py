"""What is compiled, for the limited API (one wheel for all Pythons from 3.11): the CPU kernel, and training's layers,
a plain library that is called through ctypes."""

from glob import glob

from setuptools import Extension, setup

FLAGS = ["-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"]

setup(
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
            "gtcrn_recipes.native._layers",
            sources=["recipes/native/layers.c"],
            depends=sorted(glob("recipes/native/*.h")),
            extra_compile_args=FLAGS,
            py_limited_api=True,
            extra_link_args=["-pthread"],
            optional=True,  # training falls back to torch; who only denoises must not fail here
        ),
    ]
)
