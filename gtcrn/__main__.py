"""`python -m gtcrn`: the command line."""

from gtcrn.cli.app import main

if __name__ == "__main__":
    main()
