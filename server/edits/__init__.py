"""Changes to what the user keeps in the home: the configuration and the keys."""
