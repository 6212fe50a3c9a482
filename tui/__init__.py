"""Watches: live calls, budgets and circuits of every server on the machine."""
