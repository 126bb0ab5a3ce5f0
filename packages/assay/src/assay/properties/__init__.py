"""Property tests: expectations of models, and the search for counterexamples."""
