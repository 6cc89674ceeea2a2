"""One verb each: plain values in, a result record out, no printing."""
