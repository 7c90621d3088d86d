"""The gin files that the package ships; `agents.configuration.load` finds them by name."""
