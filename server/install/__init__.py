"""Adding this server to the editors and agents on the machine, each in its own file."""
