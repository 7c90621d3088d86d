"""The commands: flags in, calls of the library out."""
