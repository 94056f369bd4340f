"""Large pools on several machines: a runner on Ray. Needs the extra ``ray``."""
