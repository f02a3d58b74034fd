"""What the benchmarks share: interleaved timing, the host's description, and how the peers are started."""
