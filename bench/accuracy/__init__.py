"""How right an engine is: a pass over labelled frames, apart from the timing."""
