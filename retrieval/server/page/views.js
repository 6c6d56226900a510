// The other screens, each loaded when it is first looked at, and the way to them.

import { html, useEffect, useState } from "./vendor/htm-preact-standalone.js";
import { EMPTY, VIEWS, toAddress } from "./state.js";

const LOOK_MS = 1000; // between two looks at what is being made
const LOADERS = {
  index: () => import("./indexing.js"),
  albums: () => import("./albums.js"),
  map: () => import("./map.js"),
  duplicates: () => import("./duplicates.js"),
};

export function Navigation({ words, state, canWrite, onGo }) {
  const link = (view, name) => {
    const next = { ...EMPTY, collection: state.collection, view, area: view === "map" ? state.area : null };
    const follow = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      onGo(next);
    };
    return html`<a key=${view} href=${toAddress(next)} aria-current=${state.view === view ? "page" : null} onclick=${follow}>${name}</a>`;
  };
  return html`<nav class="views" aria-label=${words.screens}>${VIEWS.filter((view) => view !== "index" || canWrite).map((view) => link(view, words.views[view]))}</nav>`;
}

export function View({ words, state, ...rest }) {
  const [loaded, setLoaded] = useState(null);
  useEffect(() => {
    LOADERS[state.view]().then(setLoaded, () => setLoaded("failed"));
  }, []);
  if (loaded === "failed") return html`<${Trouble} words=${words} error="offline" onRetry=${() => location.reload()} />`;
  return loaded ? html`<${loaded.View} words=${words} state=${state} ...${rest} />` : html`<p class="quiet" role="status">${words.loading}</p>`;
}

/** Say that something failed, and offer to try again; on a screen that has a heading, with a lesser one. */
export const Trouble = ({ words, error, onRetry, heading = "h1" }) => html`
  <div class="empty" role="alert">
    <${heading}>${words.failed}<//>
    <p>${error === "offline" ? words.offline : error}</p>
    <button type="button" class="primary" onclick=${onRetry}>${words.retry}</button>
  </div>
`;

/** Ask again and again for what the server makes in the background: {status, done, total, found, error, again}. */
export function useBackground(ask, key) {
  const [answer, setAnswer] = useState({ status: "running", done: 0, total: null });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    let due = 0;
    setAnswer({ status: "running", done: 0, total: null });
    const look = async () => {
      try {
        const found = await ask(abort.signal, tries > 0);
        setAnswer(found.status === "running" ? found : { status: "done", found });
        if (found.status === "running") due = setTimeout(look, LOOK_MS);
      } catch (error) {
        if (error.name !== "AbortError") setAnswer({ status: "failed", error: error.message });
      }
    };
    look();
    return () => {
      abort.abort();
      clearTimeout(due);
    };
  }, [key, tries]);
  return { ...answer, again: () => setTries(tries + 1) };
}

/** How far the server is with what it makes in the background. */
export const Working = ({ words, text, done, total }) => html`
  <div class="empty" role="status">
    <h1>${text}</h1>
    ${total ? html`<progress max=${total} value=${done} aria-label=${text}></progress><p class="quiet">${words.progress(done, total)}</p>` : html`<progress aria-label=${text}></progress>`}
    <p class="quiet">${words.mayLeave}</p>
  </div>
`;
