"""Programs that measure, apart from the tests: each is run by hand, and says what it found."""
