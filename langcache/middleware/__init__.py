"""The built-in middleware, one a module; each module is a plugin like a stranger's."""
