"""What is true: pure, without a session, a request or a log of its own."""
