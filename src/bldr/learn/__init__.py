"""From what a command did to the smallest spec that suffices for it."""
