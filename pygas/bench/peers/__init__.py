"""The same measurements with other libraries, where those are installed."""
