"""bldr."""
