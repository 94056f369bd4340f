"""Write to a ledger: ``python -m al_assets_tests.support.programs.ledger_writer URL RATER COUNT LABEL BATCH``.

It prints the item ids of each batch once ``record`` has returned.
"""

import sys

from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, queue_frame, vote


def main(url: str, rater: str, count: str, label: str, batch: str) -> None:
    names, size = items(int(count)), int(batch)
    ledger = Ledger(url, "spam", RATERS)
    # Every writer publishes: the first wins, whoever it is.
    ledger.publish("0000", queue_frame(names, text=f"published by {rater}"), SELECTED_BY)
    for start in range(0, len(names), size):
        chosen = names[start : start + size]
        ledger.record([vote(name, rater, label) for name in chosen])
        sys.stdout.write(" ".join(chosen) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
