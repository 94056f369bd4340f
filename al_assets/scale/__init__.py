"""Large pools on several machines: a runner on Ray, and embedding by shards. Needs the extra ``ray``."""
