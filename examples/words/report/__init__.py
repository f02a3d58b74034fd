"""Say in words what the program "words" counts."""
