"""Serving over HTTP: tokens, the door they open, the connections behind it."""
