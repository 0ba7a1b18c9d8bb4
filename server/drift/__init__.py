"""The drift monitor in the running service: what it sees, what follows from what it says."""
