"""The one compiled part: the CPU kernel, as an extension for the limited API (one wheel for all Pythons from 3.11)."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "gtcrn.kernel._gtcrn",
            sources=[f"gtcrn/kernel/{name}.c" for name in ("module", "gtcrn", "gtcrn_avx2", "gtcrn_avx512")],
            depends=sorted(glob("gtcrn/kernel/*.h")),
            extra_compile_args=["-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"],
            py_limited_api=True,
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
        )
    ]
)
