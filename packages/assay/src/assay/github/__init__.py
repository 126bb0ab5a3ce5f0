"""The trusted side of a pull request on GitHub: from the artifact of an untrusted run to comment, status and lock."""
