"""A wire and a provider in code, as an example."""
