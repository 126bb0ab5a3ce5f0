"""What the data is, and what is made from that: checks, requests, examples."""
