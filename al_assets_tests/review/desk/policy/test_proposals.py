from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from al_assets.config import PolicyText
from al_assets.review.desk.policy.proposals import ProposalStore
from al_assets.storage.ledger.registers import text_row
from al_assets.tables import POLICY_TEXTS

NOW = PolicyText(name="spam", question="Spam?", guideline="Spam sells.")
NEW = NOW.model_copy(update={"guideline": "Spam sells things.", "version": "2"})
NO_TEXTS = pl.DataFrame(schema=POLICY_TEXTS.schema)


def test_a_proposal_is_kept_once_and_withdrawn_once(ledger_url: str) -> None:
    store = ProposalStore(ledger_url, "spam")
    number = store.propose(NEW, NOW, "clearer", "olga", "key-1")
    assert store.propose(NEW, NOW, "clearer", "olga", "key-1") == number
    second = store.propose(NEW.model_copy(update={"version": "3"}), NOW, "", "olga", "key-2")
    newest, oldest = store.all()
    assert (newest.id, oldest.id, oldest.text, oldest.note) == (second, number, NEW, "clearer")
    assert oldest.base_text == NOW.read_by_raters()
    assert oldest.status(NOW, NO_TEXTS) == "open"
    assert store.withdraw(number, "olga")
    assert not store.withdraw(number, "otto")
    withdrawn = store.all()[1]
    assert (withdrawn.status(NOW, NO_TEXTS), withdrawn.withdrawn_by) == ("withdrawn", "olga")
    with pytest.raises(KeyError):
        store.withdraw(99, "olga")
    other = ProposalStore(ledger_url, "ham")
    assert other.all() == []
    with pytest.raises(KeyError):
        other.withdraw(second, "olga")
    store.close()
    other.close()


def test_another_text_from_the_same_form_is_another_proposal(ledger_url: str) -> None:
    store = ProposalStore(ledger_url, "spam")
    first = store.propose(NEW, NOW, "clearer", "olga", "key")
    # Somebody goes back in the browser, edits on and sends the form again.
    text = NEW.model_copy(update={"guideline": "Spam sells and lies."})
    second, third = store.propose(text, NOW, "clearer", "olga", "key"), store.propose(text, NOW, "why", "olga", "key")
    assert len({first, second, third}) == 3
    assert [each.text.guideline for each in store.all()] == [text.guideline, text.guideline, NEW.guideline]
    store.close()


def test_what_the_policy_says_now_or_said_since_is_adopted(ledger_url: str) -> None:
    store = ProposalStore(ledger_url, "spam")
    store.propose(NEW, NOW, "", "olga", "key")
    (proposal,) = store.all()
    assert proposal.status(NEW.model_copy(update={"version": "7"}), NO_TEXTS) == "adopted"
    row = {**text_row(NEW), "recorded_at": proposal.proposed_at}
    before, since = (
        pl.DataFrame([{**row, "recorded_at": proposal.proposed_at + timedelta(hours=hours)}], POLICY_TEXTS.schema)
        for hours in (-1, 1)
    )
    assert proposal.status(NOW, before) == "open"
    assert proposal.status(NOW, since) == "adopted"
    store.close()


@pytest.mark.parametrize("table", ["desk_policy_proposals", "desk_policy_withdrawals"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = 'x'", "DELETE FROM {}"])
def test_the_database_refuses_any_change(ledger_url: str, table: str, change: str) -> None:
    store = ProposalStore(ledger_url, "spam")
    store.withdraw(store.propose(NEW, NOW, "", "olga", "key"), "olga")
    column = "note" if table.endswith("proposals") else "withdrawn_by"
    engine = create_engine(ledger_url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(change.format(table, column)))
    engine.dispose()
    assert len(store.all()) == 1
    store.close()
