"""The trusted side of a pull request on GitHub: from the artifact of a stranger's run to comment, status and lock."""
