"""Stand-in exchanges over real HTTP, for the demo, the tests, the benchmarks and users' own tests."""
