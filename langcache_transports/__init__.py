"""The built-in transports, one a module; each is found by entry point and loaded alone, when it is chosen."""
