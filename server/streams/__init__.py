"""Streams apart from the connection that brought them: as bytes, and between two requests."""
