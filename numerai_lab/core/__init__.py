"""Pure functions and types that all other packages build on. Imports nothing else of the package."""
