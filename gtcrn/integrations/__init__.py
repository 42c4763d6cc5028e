"""The denoiser inside other people's frameworks: thin, each module importing its framework only."""
