"""`python -m gtcrn_server.load`."""

import typer

from gtcrn_server.load.generator import main

if __name__ == "__main__":
    typer.run(main)
