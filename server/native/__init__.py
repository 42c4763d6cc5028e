"""What every message of live audio goes through, compiled: `lane.c`."""

from gtcrn_server.native._lane import Lane, Meter, Pace

__all__ = ["Lane", "Meter", "Pace"]
