"""The report of a run: from plain data to a pull-request comment, a page and a few lines for the terminal."""
