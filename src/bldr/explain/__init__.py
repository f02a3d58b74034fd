"""Why a command failed: what the sandbox denied, and the smallest declaration that would allow it."""
