"""Where things are kept, and pipeline files."""
