/* Open pages hear that something changed and fetch their parts again; without a script they wait for a reload. */
(function () {
  "use strict";
  const FIRST_PAUSE = 2000, LONGEST_PAUSE = 60000;
  let source = null, seen = null, pause = FIRST_PAUSE, timer = 0;

  function holder() { return document.querySelector("[data-live]"); }

  function close() {
    clearTimeout(timer);
    if (source) { source.close(); source = null; }
  }

  function open() {
    close();
    const place = holder();
    /* A hidden page listens to nothing: browsers allow few open connections to one address. */
    if (!place || document.hidden || !window.EventSource) return;
    if (seen === null) seen = place.dataset.live || "";
    source = new EventSource("/events" + (seen ? "?seen=" + encodeURIComponent(seen) : ""));
    source.onopen = function () { pause = FIRST_PAUSE; };
    source.addEventListener("changed", function (event) {
      seen = event.lastEventId || seen;
      document.body.dispatchEvent(new CustomEvent("changed"));
    });
    source.onerror = function () {
      /* The browser tries again by itself, except after an answer that is no stream. */
      if (!source || source.readyState !== EventSource.CLOSED) return;
      close();
      timer = setTimeout(open, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
  }

  document.addEventListener("visibilitychange", function () { if (document.hidden) close(); else open(); });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);

  /* What the reader has opened stays open when its part is fetched again. */
  let opened = [];
  document.addEventListener("htmx:beforeSwap", function (event) {
    opened = Array.from(event.detail.target.querySelectorAll("details[open][id]"), function (each) { return each.id; });
  });
  document.addEventListener("htmx:afterSwap", function () {
    opened.forEach(function (id) {
      const found = document.getElementById(id);
      if (found) found.open = true;
    });
  });
}());
