"""The subcommands of `roundhouse`, each imported only when it is the one that runs."""
