"""How fast the service is, beside a peer in Express that stores nothing: `make bench`."""
