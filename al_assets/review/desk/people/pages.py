"""The admin's pages: who may come, as what, and who is here now."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.people import changes
from al_assets.review.desk.people.records import Member, PeopleError, checked_name, checked_roles, written
from al_assets.review.desk.shell.access import Person, Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import form_of, page

ROLES_SAID = {
    Role.RATER: "answers questions, blind",
    Role.ADJUDICATOR: "decides where raters disagree",
    Role.POLICY_OWNER: "sees what raters could not decide, proposes a new text",
    Role.ADMIN: "invites people, sees the audit log and each rater's results",
}
_SESSION_ID = re.compile(r"[0-9a-f]{16}")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the admin's pages about people."""
    admin = needs(Role.ADMIN)
    made = _Pages(desk)
    return [
        Route("/people", admin(made.everybody)),
        Route("/people/person", admin(made.person)),
        Route("/people/invite", admin(made.invite), methods=["POST"]),
        Route("/people/link", admin(made.link), methods=["POST"]),
        Route("/people/roles", admin(made.change_roles), methods=["POST"]),
        Route("/people/revoke-invitations", admin(made.revoke_invitations), methods=["POST"]),
        Route("/people/end-session", admin(made.end_session), methods=["POST"]),
        Route("/people/end-sessions", admin(made.end_sessions), methods=["POST"]),
        Route("/people/deactivate", admin(made.deactivate), methods=["POST"]),
    ]


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def everybody(self, request: Request) -> Response:
        """Show who was invited, and a form to invite."""
        return await self._everybody(request)

    async def person(self, request: Request) -> Response:
        """Show one person and what can be done."""
        return await self._person(request, request.query_params.get("name", ""))

    async def invite(self, request: Request) -> Response:
        """Invite somebody and show the link, once."""
        form = await form_of(request)
        name, roles = _text(form, "name"), [str(role) for role in form.getlist("role")]
        try:
            self._refuse_self(request, name, "give yourself other roles")
            await self._refuse_other_roles(name, roles)
            token = await self._change(request, changes.invite, name, roles)
        except PeopleError as error:
            return await self._everybody(request, status=400, problem=str(error), name=name, roles=roles)
        return await self._everybody(request, link=self._link(request, token), invited=checked_name(name))

    async def link(self, request: Request) -> Response:
        """Show a new link for somebody who is known, once."""
        name = await self._named(await form_of(request))
        token = await self._change(request, changes.invite, name, None)
        return await self._person(request, name, link=self._link(request, token))

    async def change_roles(self, request: Request) -> Response:
        """Give a person other roles."""
        form = await form_of(request)
        name, roles = await self._named(form), [str(role) for role in form.getlist("role")]
        try:
            self._refuse_self(request, name, "change your own roles")
            await self._change(request, changes.change_roles, name, roles)
        except PeopleError as error:
            return await self._person(request, name, status=400, problem=str(error))
        return _to_person(name)

    async def revoke_invitations(self, request: Request) -> Response:
        """Make a person's open links useless."""
        name = await self._named(await form_of(request))
        await run_in_threadpool(self._desk.people.revoke_invitations, name, person_of(request).name)
        return _to_person(name)

    async def end_session(self, request: Request) -> Response:
        """Sign a person out of one browser."""
        session_id = _text(await form_of(request), "session")
        if not _SESSION_ID.fullmatch(session_id):
            raise HTTPException(404)
        name = await run_in_threadpool(self._desk.people.end_session, session_id, person_of(request).name)
        request.app.state.identities.forget()
        if name is None:
            raise HTTPException(404)
        return _to_person(name)

    async def end_sessions(self, request: Request) -> Response:
        """Sign a person out everywhere."""
        name = await self._named(await form_of(request))
        await run_in_threadpool(self._desk.people.end_sessions, name, person_of(request).name)
        request.app.state.identities.forget()
        return _to_person(name)

    async def deactivate(self, request: Request) -> Response:
        """Let a person in no more."""
        form = await form_of(request)
        name = await self._named(form)
        try:
            self._refuse_self(request, name, "deactivate yourself")
            if _text(form, "sure") != "yes":
                raise PeopleError("Nothing was done: tick the box beside the button first.")
            await self._change(request, changes.deactivate, name)
        except PeopleError as error:
            return await self._person(request, name, status=400, problem=str(error))
        return _to_person(name)

    async def _everybody(self, request: Request, status: int = 200, **said: Any) -> Response:
        people = await run_in_threadpool(self._desk.people.people)
        seen = {each.name: each.seen_at for each in await run_in_threadpool(self._desk.people.sessions)}
        known = {each.name for each in people}
        raters = await run_in_threadpool(lambda: self._desk.ledger.raters)
        return page(
            request,
            "people/everybody.html",
            status=status,
            people=[(each, written(each.roles), seen.get(each.name)) for each in people],
            not_invited=[name for name in raters if name not in known],
            roles_said=ROLES_SAID,
            by_header=self._desk.policy.desk.identity_header,
            **{"problem": None, "link": None, "invited": None, "name": "", "roles": [], **said},
        )

    async def _person(self, request: Request, name: str, status: int = 200, **said: Any) -> Response:
        member = await self._member(name)
        people = self._desk.people
        return page(
            request,
            "people/person.html",
            status=status,
            member=member,
            held=written(member.roles),
            sessions=[each for each in await run_in_threadpool(people.sessions) if each.name == member.name],
            invitations=[each for each in await run_in_threadpool(people.invitations) if each.name == member.name],
            own_session=request.state.session_id,
            roles_said=ROLES_SAID,
            **{"problem": None, "link": None, **said},
        )

    async def _named(self, form: FormData) -> str:
        """Return the name that a form holds, as it is on record."""
        return (await self._member(_text(form, "name"))).name

    async def _member(self, name: str) -> Member:
        try:
            found = await run_in_threadpool(self._desk.people.member, checked_name(name))
        except PeopleError:
            found = None
        if found is None:
            raise HTTPException(404)
        return found

    async def _change(self, request: Request, change: Callable[..., Any], *what: Any) -> Any:
        by: Person = person_of(request)
        try:
            return await run_in_threadpool(change, self._desk.people, self._desk.ledger, *what, by.name)
        finally:
            request.app.state.identities.forget()

    def _refuse_self(self, request: Request, name: str, what: str) -> None:
        # So the last admin cannot lock everybody out by a slip.
        if checked_name(name) == person_of(request).name:
            raise PeopleError(f"You cannot {what}: another admin, or the command 'al desk', can.")

    async def _refuse_other_roles(self, name: str, roles: list[str]) -> None:
        # A rater who was given another role by a slip can never be one again.
        known = await run_in_threadpool(self._desk.people.member, checked_name(name))
        if known is not None and checked_roles(roles) != known.roles:
            raise PeopleError(
                f"name: {known.name!r} is known as {written(known.roles)}; to give the person other roles, use the "
                "page behind the name"
            )

    def _link(self, request: Request, token: str) -> str:
        # Without a public address only this machine's own names get past the gate.
        origin = self._desk.policy.desk.public_url or f"{request.url.scheme}://{request.headers['host']}"
        return f"{origin}/join/{token}"


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _to_person(name: str) -> Response:
    return RedirectResponse(f"/people/person?name={quote(name, safe='')}", 303)
