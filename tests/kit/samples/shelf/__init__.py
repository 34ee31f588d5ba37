"""An API of lists by position, with filters in a language of its own, API keys, and times as numbers."""
