"""The policy owner's pages: what raters could not decide, and new versions of the policy."""

import secrets
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.config import PolicyText
from al_assets.review.desk.policy.drafts import (
    Draft,
    DraftError,
    Known,
    draft_from,
    draft_of,
    proposed_text,
    yaml_section,
)
from al_assets.review.desk.policy.gaps import gaps_now
from al_assets.review.desk.policy.proposals import Proposal, ProposalStore
from al_assets.review.desk.policy.text_diff import changes_between, policy_changes
from al_assets.review.desk.shell import words
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.guideline import guideline
from al_assets.review.desk.shell.pages import form_of, page
from al_assets.review.desk.shell.untrusted_text import shown
from al_assets.review.policy_versions import second_look, version_notes

EMPTY_EXAMPLES = 1


def routes(desk: Desk) -> list[Route]:
    """Return the policy owner's pages."""
    pages, guard = _Pages(desk), needs(Role.POLICY_OWNER)
    return [
        Route("/policy", guard(pages.overview), methods=["GET"]),
        Route("/policy/propose", guard(pages.form), methods=["GET"]),
        Route("/policy/propose", guard(pages.propose), methods=["POST"]),
        Route("/policy/proposals/{number:int}", guard(pages.proposal), methods=["GET"]),
        Route("/policy/proposals/{number:int}/withdraw", guard(pages.withdraw), methods=["POST"]),
        Route("/policy/proposals/{number:int}/policy.yaml", guard(pages.download), methods=["GET"]),
    ]


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._text: PolicyText = desk.policy.policy
        self._proposals = ProposalStore(desk.policy.ledger_url, desk.policy.policy.name)

    async def overview(self, request: Request) -> Response:
        """Show the policy, what could not be decided under it, and what is proposed."""
        return self._page(
            request, "policy.html", guideline=guideline(self._text), **await run_in_threadpool(self._overview)
        )

    async def form(self, request: Request) -> Response:
        """Show the form for a new version, filled in with the present one."""
        known = await run_in_threadpool(self._known)
        return self._form(request, known, draft_of(known))

    async def propose(self, request: Request) -> Response:
        """Add an empty example, show what would change, or keep the proposal."""
        form = await form_of(request)
        draft, known = draft_from(form), await run_in_threadpool(self._known)
        step = str(form.get("step") or "preview")
        if step == "add":
            empty = sum(not (each.text or each.why) for each in draft.examples)
            return self._form(request, known, draft, empty=empty + 1)
        try:
            text = proposed_text(draft, known)
        except DraftError as error:
            return self._form(request, known, draft, problems=error.problems, status=422)
        if step != "propose":
            return self._form(request, known, draft, preview=text)
        number = await run_in_threadpool(self._keep, request, text, draft.note, str(form.get("key") or ""))
        return RedirectResponse(f"/policy/proposals/{number}", 303)

    async def proposal(self, request: Request) -> Response:
        """Show one proposal."""
        found, texts = await run_in_threadpool(self._one, request)
        return self._page(
            request,
            "proposal.html",
            proposal=found,
            status_now=found.status(self._text, texts),
            changes=policy_changes(found.base_text, found.text.read_by_raters()),
            section=yaml_section(found.text),
        )

    async def withdraw(self, request: Request) -> Response:
        """Take a proposal back."""
        await run_in_threadpool(self._take_back, request)
        return RedirectResponse(f"/policy/proposals/{request.path_params['number']}", 303)

    async def download(self, request: Request) -> Response:
        """Give a proposal as the section of a policy file."""
        found, _ = await run_in_threadpool(self._one, request)
        name = f"{found.text.name}-proposal-{found.id}.yaml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(yaml_section(found.text), media_type="application/yaml", headers=headers)

    def _overview(self) -> dict[str, Any]:
        ledger, texts = self._desk.ledger, self._desk.ledger.policy_texts()
        again = second_look(ledger, self._desk.policy)
        return {
            "gaps": gaps_now(ledger, self._desk.key),
            "second_look_votes": again.height,
            "second_look_items": again["item_id"].n_unique(),
            "notes": version_notes(ledger, self._desk.policy),
            "proposals": [(each, each.status(self._text, texts)) for each in self._proposals.all()],
            "shown": shown,
        }

    def _known(self) -> Known:
        return Known.of(self._text, self._desk.ledger.policy_texts())

    def _keep(self, request: Request, text: PolicyText, note: str, key: str) -> int:
        name = person_of(request).name
        number = self._proposals.propose(text, self._text, note, name, key or secrets.token_urlsafe(16))
        self._desk.people.audit(name, "propose policy", f"proposal {number}", f"version {text.version}")
        return number

    def _one(self, request: Request) -> tuple[Proposal, Any]:
        number = request.path_params["number"]
        found = next((each for each in self._proposals.all() if each.id == number), None)
        if found is None:
            raise HTTPException(404)
        return found, self._desk.ledger.policy_texts()

    def _take_back(self, request: Request) -> None:
        found, _ = self._one(request)
        name = person_of(request).name
        if self._proposals.withdraw(found.id, name):
            self._desk.people.audit(name, "withdraw proposal", f"proposal {found.id}", f"version {found.text.version}")

    def _form(
        self,
        request: Request,
        known: Known,
        draft: Draft,
        *,
        problems: dict[str, str] | None = None,
        preview: PolicyText | None = None,
        empty: int = EMPTY_EXAMPLES,
        status: int = 200,
    ) -> Response:
        return self._page(
            request,
            "propose.html",
            status=status,
            draft=draft.with_empty_examples(empty),
            problems=problems or {},
            changes=changes_between(self._text, preview) if preview else None,
            next_version=known.next_version(),
            key=secrets.token_urlsafe(16),
        )

    def _page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        return page(request, f"policy/{template}", status=status, policy=self._text, words=words, **context)
