"""Corpora on Ray, on one machine or many (extra `cluster`)."""

from gtcrn.cluster.corpus import Summary, denoise_files

__all__ = ["Summary", "denoise_files"]
