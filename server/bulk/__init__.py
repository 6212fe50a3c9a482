"""Many completions from a file of requests: read, asked, written down, gone on with."""
