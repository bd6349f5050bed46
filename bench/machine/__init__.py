"""Where a benchmark ran: environment, clocks, throttling, energy."""
