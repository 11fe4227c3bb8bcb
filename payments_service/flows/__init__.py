"""What happens: one file per flow, each read from top to bottom."""
