"""The load test: the built Bentos of candidate and champion, loaded in alternating rounds and measured."""
