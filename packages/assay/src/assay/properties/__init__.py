"""Property tests: what models are expected to do, and the search for counterexamples."""
