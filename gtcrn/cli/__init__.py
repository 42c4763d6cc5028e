"""The command line, on top of everything: parse, call, report."""
