"""One file per wire protocol, each a handful of pure functions."""
