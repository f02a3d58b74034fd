"""The engine: targets become actions, and actions that are stale run in sandboxes, in parallel."""
