"""What we write down: the database is the only memory of the service."""
