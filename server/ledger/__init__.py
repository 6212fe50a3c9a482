"""The shared store: one SQLite file that every process on the machine reads and writes."""
