"""One verb each, none leans on another: plain values in, a result record out, no printing."""
