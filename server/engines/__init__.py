"""Local engines that belong to the machine: started on first use, shared, and ended."""
