// Makes the question page quicker: keys, focus, and words for what went wrong. Without it everything works by forms.
(() => {
  "use strict";

  // A second press that was meant for the last question must not answer the next.
  const SETTLE_MS = 150;
  const shelf = (storage) => ({
    get: (name) => { try { return storage().getItem(name); } catch { return null; } },
    set: (name, value) => { try { storage().setItem(name, value); } catch { /* private window */ } },
    drop: (name) => { try { storage().removeItem(name); } catch { /* private window */ } },
    names: () => { try { return Object.keys(storage()); } catch { return []; } },
  });
  const remembered = shelf(() => localStorage);
  // Comments that are not on record yet, by the address of their answer: they outlive a reload, and signing in again.
  const COMMENT = "desk.comment.";
  const comments = shelf(() => sessionStorage);
  let settling = 0, sent = "", sentWhileTyping = false, typed = null, signedOut = "";

  const find = (id) => document.getElementById(id);
  const findComment = () => document.querySelector("#answer textarea");
  const shelfMark = (field) => COMMENT + field.form.getAttribute("action");
  const keysAreOn = () => remembered.get("desk.keys") !== "off";
  const isTyping = (element) => Boolean(element.closest("input, textarea, select, [contenteditable]"));

  function fail(words) {
    const said = find("said");
    if (!said) return;
    said.textContent = words;
    said.classList.add("failed");
    // Where the rater has scrolled to they would not see it.
    said.scrollIntoView({ block: "nearest" });
  }

  function prepare() {
    document.documentElement.classList.add("scripted");
    document.documentElement.classList.toggle("keys-on", keysAreOn());
    const said = find("said"), box = find("shortcuts");
    if (said) said.classList.remove("failed");
    if (box) box.checked = keysAreOn();
    for (const details of document.querySelectorAll("details[data-remember]")) {
      const state = remembered.get(`desk.fold.${details.dataset.remember}`);
      const narrow = matchMedia("(max-width: 60rem)").matches;
      details.open = state === null ? !narrow : state === "open";
    }
    for (const time of document.querySelectorAll("time.local")) {
      const moment = new Date(time.dateTime);
      const style = { weekday: "short", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" };
      if (!Number.isNaN(moment.valueOf())) time.textContent = moment.toLocaleString("en-GB", style);
    }
    const field = findComment();
    const kept = field && comments.get(shelfMark(field));
    if (kept && !field.value) fill(field, kept);
    settle();
  }

  function fill(field, words) {
    field.value = words;
    field.closest("details").open = true;
    keep(field);
  }

  function keep(field) {
    if (field.value) comments.set(shelfMark(field), field.value); else comments.drop(shelfMark(field));
  }

  function settle() {
    const stage = find("stage");
    if (!stage) return;
    stage.dataset.ready = "no";
    clearTimeout(settling);
    settling = setTimeout(() => { stage.dataset.ready = "yes"; }, SETTLE_MS);
  }

  function focusHeading() {
    const heading = find("heading");
    if (!heading) return;
    heading.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  function press(control) {
    if (control.tagName === "SUMMARY") {
      const details = control.parentElement;
      const field = details.querySelector("textarea");
      // A comment that was left is gone on with: folded, it would leave what is typed next to the keys.
      details.open = Boolean(field) || !details.open;
      (field || control).focus();
      return;
    }
    if (find("stage").dataset.ready !== "yes") return;
    control.click();
  }

  function escape(target) {
    const opened = target.closest("details.comment, details.undecided, details.help");
    if (opened && !(opened.matches(".comment") && opened.querySelector("textarea").value)) opened.open = false;
    focusHeading();
  }

  document.addEventListener("keydown", (event) => {
    const desk = find("desk");
    if (!desk || event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") {
      escape(event.target);
      return;
    }
    if (event.repeat || !keysAreOn() || isTyping(event.target)) return;
    const name = event.key.toUpperCase();
    const controls = [...desk.querySelectorAll("[aria-keyshortcuts]")];
    const control = controls.find((each) => each.getAttribute("aria-keyshortcuts").split(" ").includes(name));
    // What lies in a folded part is not offered.
    if (!control || control.parentElement.closest("details:not([open]) > :not(summary)")) return;
    event.preventDefault();
    press(control);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("#stage button");
    // Nor must the second half of a double click, wherever it lands.
    if (button && (event.detail > 1 || find("stage").dataset.ready !== "yes")) event.preventDefault();
  }, true);

  document.addEventListener("input", (event) => { if (event.target === findComment()) keep(event.target); });

  document.addEventListener("submit", (event) => {
    if (event.target.getAttribute("action") !== "/sign-out") return;
    comments.names().filter((name) => name.startsWith(COMMENT)).forEach(comments.drop);
  });

  document.addEventListener("change", (event) => {
    if (event.target.id !== "shortcuts") return;
    remembered.set("desk.keys", event.target.checked ? "on" : "off");
    document.documentElement.classList.toggle("keys-on", event.target.checked);
  });

  document.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    const details = summary && summary.parentElement;
    // After the click the state is the other one.
    if (details && details.dataset.remember) {
      remembered.set(`desk.fold.${details.dataset.remember}`, details.open ? "closed" : "open");
    }
  });

  const isPoll = (event) => event.detail.requestConfig && event.detail.requestConfig.path === "/questions/wait";
  const isOurs = (event) => Boolean(find("desk")) && find("desk").contains(event.target);

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isOurs(event) || isPoll(event)) return;
    const stage = find("stage"), field = findComment();
    sent = field ? field.value : "";
    sentWhileTyping = Boolean(field) && field === document.activeElement;
    clearTimeout(settling);
    stage.dataset.ready = "no";
    stage.setAttribute("aria-busy", "true");
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const stage = find("stage"), { successful, requestConfig } = event.detail;
    if (!stage) return;
    if (isPoll(event)) {
      // The rater has signed in again in another tab.
      if (successful && signedOut && find("said").textContent === signedOut) find("said").textContent = "";
      return;
    }
    if (successful && requestConfig.path.endsWith("/answer")) comments.drop(COMMENT + requestConfig.path);
    stage.removeAttribute("aria-busy");
    settle();
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (xhr.getResponseHeader("X-Desk") !== "stage") return;
    // News for a page on which the rater went back to a question meanwhile would take it from them.
    event.detail.shouldSwap = xhr.status !== 204 && !(isPoll(event) && !requestConfig.elt.isConnected);
    const field = findComment();
    typed = null;
    if (!field || field !== document.activeElement) return;
    // A tap on a telephone leaves the focus where it was; then nobody is typing.
    if (sentWhileTyping && field.value === sent) return;
    const more = field.value.startsWith(sent) ? field.value.slice(sent.length) : field.value;
    typed = { mark: shelfMark(field), all: field.value, more };
  });

  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    if (!isOurs(event) || xhr.getResponseHeader("X-Desk") === "stage") return;
    const told = new DOMParser().parseFromString(xhr.responseText, "text/html").body.textContent.trim();
    const field = findComment();
    if (!isPoll(event)) {
      const stays = field && field.value ? " Your comment stays in this window." : "";
      fail(`Not saved. ${told || `The desk answered with an error (${xhr.status}).`}${stays}`);
    } else if (xhr.status === 401 && find("said").textContent !== told) {
      // New questions would never show up.
      signedOut = told;
      fail(told);
    }
  });

  document.addEventListener("htmx:timeout", (event) => {
    if (isOurs(event) && !isPoll(event)) {
      fail("The desk does not answer, so this may not be saved. Your answer is still here; send it again, it counts once.");
    }
  });

  document.addEventListener("htmx:sendError", (event) => {
    if (isOurs(event) && !isPoll(event)) {
      fail("Not saved: no connection to the desk. Your answer is still here; send it again when the connection is back.");
    }
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (!["stage", "desk"].includes(event.target.id)) return;
    prepare();
    const field = findComment();
    if (field && typed) {
      // What is typed while an answer is on its way must not become keys of the question that comes, or comes again.
      fill(field, shelfMark(field) === typed.mark ? typed.all : field.value + typed.more);
      field.focus();
      return;
    }
    // Someone who reads the guideline while new questions come in stays where they are.
    if (event.detail.requestConfig.verb !== "get" || document.activeElement === document.body) focusHeading();
  });

  prepare();
})();
