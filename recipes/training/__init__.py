"""The training loop, its losses, and the folder a run lives in."""
