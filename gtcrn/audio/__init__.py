"""Sound in and out: files, pipes, the encodings of samples, and what bad audio is."""
