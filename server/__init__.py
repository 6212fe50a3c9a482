"""Decides and remembers: where a call may go, what it may cost, what became of it."""
