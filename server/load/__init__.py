"""Load generator: `python -m gtcrn_server.load`. Beside the service, not in its wheel."""
