"""Real servers for tests: each module has a fixture that finds one, or starts one and ends it."""
