"""The manual: Markdown pages that ship with the package, printed by `nlab docs`."""
