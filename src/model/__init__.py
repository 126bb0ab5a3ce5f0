"""The problem: features and estimators. This is the room to rewrite for another problem."""
