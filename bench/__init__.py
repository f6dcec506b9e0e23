"""The benchmarks: Paymaster beside other workers that do the same work, in the same run, on the same services."""
