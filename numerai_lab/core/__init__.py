"""What everything rests on: pure functions and types that import nothing else of the package."""
