// The page: one state, which the address bar holds; everything shown follows from it and from what the server answers.

import { html, render, useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { DropZone } from "./dropzone.js";
import { Notice } from "./notice.js";
import { useResults } from "./results.js";
import { SearchScreen } from "./screen.js";
import { SearchBar } from "./searchbar.js";
import { EMPTY, fromAddress, toAddress } from "./state.js";
import { Navigation, View } from "./views.js";
import { firstLanguage, wordsOf } from "./words.js";

const THEMES = ["auto", "light", "dark"];

/** The state of the address bar, and how to go on to another one. */
function useAddress() {
  const [state, setState] = useState(() => fromAddress(location.search));
  useEffect(() => {
    const read = () => setState(fromAddress(location.search));
    addEventListener("popstate", read);
    return () => removeEventListener("popstate", read);
  }, []);
  const go = useCallback((next, { replace = false, ...mark } = {}) => {
    history[replace ? "replaceState" : "pushState"](mark, "", toAddress(next));
    setState(next);
  }, []);
  return [state, go];
}

/** A value that the browser remembers. */
function useKept(name, first) {
  const [value, setValue] = useState(first);
  const set = (next) => {
    localStorage.setItem(name, next);
    setValue(next);
  };
  return [value, set];
}

function App({ spoken }) {
  const [state, go] = useAddress();
  const [language, keepLanguage] = useKept("language", spoken.language);
  const [words, setWords] = useState(spoken.words);
  const [theme, setTheme] = useKept("theme", () => (THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto"));
  const [server, setServer] = useState({ collections: [], writes: false, adds: false, opens: false });
  const [notice, setNotice] = useState(null);
  const [upload, setUpload] = useState(null);
  const [active, setActive] = useState(0);
  const [alone, setAlone] = useState(null);
  const [Detail, setDetail] = useState(null); // loaded when the first item is looked at
  const box = useRef(null);
  const takesFocus = useRef(false);
  const results = useResults(state.view ? null : state);
  const held = server.collections;
  const { hits } = results;
  const hasMore = results.next !== null;

  useEffect(() => {
    api.collections().then(setServer, () => {}); // on each screen, since the one before may have changed them
  }, [state.view]);
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.documentElement.dataset.theme = theme;
    const name = state.view ? words.views[state.view] : state.text;
    document.title = name ? `${name} – vlsearch` : "vlsearch";
  }, [language, theme, state.text, state.view]);

  const setLanguage = async (next) => {
    try {
      setWords(await wordsOf(next));
      keepLanguage(next);
    } catch {
      setNotice({ text: words.offline });
    }
  };
  const ask = useCallback((next) => {
    setActive(0);
    setUpload(null);
    scrollTo(0, 0);
    go({ ...next, view: "", open: null, why: false });
  }, []);
  const similar = (hit) => {
    takesFocus.current = true;
    ask({ ...state, text: "", parts: [{ item: hit.id, weight: 1 }], literal: false, find: hit.kind });
  };
  const sendFile = async (file) => {
    setUpload("sending");
    try {
      const { upload: digest } = await api.upload(file);
      ask({ ...state, text: "", parts: [{ upload: digest, weight: 1 }], literal: false });
    } catch (error) {
      setUpload(error.message === "offline" ? words.offline : error.message);
    }
  };

  // what is looked at: a hit, or an item that a shared address names and the hits do not hold (yet)
  const at = state.open === null ? -1 : hits.findIndex((hit) => hit.id === state.open);
  const opened = at >= 0 ? hits[at] : alone?.id === state.open ? alone : null;
  useEffect(() => {
    if (state.open === null || at >= 0 || alone?.id === state.open || (!state.view && results.status === "loading")) return;
    api.item(state.open, state.collection).then(setAlone, () => go({ ...state, open: null }, { replace: true }));
  }, [state.open, at, results.status]);
  useEffect(() => {
    if (opened && !Detail) import("./detail.js").then((loaded) => setDetail(() => loaded.Detail), () => setNotice({ text: words.offline }));
  }, [opened, Detail]);
  const open = (hit, why = false) => {
    setActive(hits.indexOf(hit));
    go({ ...state, open: hit.id, why }, { isOpened: true });
  };
  const explain = (why) => go({ ...state, why }, { replace: true, isOpened: history.state?.isOpened });
  const close = () => {
    takesFocus.current = true;
    if (history.state?.isOpened) history.back();
    else go({ ...state, open: null, why: false }, { replace: true });
  };
  const step = (by) => {
    const next = at + by;
    if (at < 0 || next < 0) return;
    if (next + 10 > hits.length && hasMore) results.more();
    if (next >= hits.length) return;
    setActive(next);
    go({ ...state, open: hits[next].id }, { replace: true, isOpened: history.state?.isOpened });
  };

  useEffect(() => {
    const onKey = (event) => {
      const isTyping = event.target.closest?.("input, select, textarea, dialog");
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      box.current.focus();
      box.current.select();
    };
    const onPaste = (event) => {
      const [file] = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
      if (file) sendFile(file);
    };
    addEventListener("keydown", onKey);
    addEventListener("paste", onPaste);
    return () => {
      removeEventListener("keydown", onKey);
      removeEventListener("paste", onPaste);
    };
  });

  const hide = async (hit) => {
    const place = hits.indexOf(hit);
    try {
      const { generation } = await api.hide([hit.id], state.collection);
      results.drop(hit, generation);
      const undo = async () => {
        const { generation: later } = await api.unhide([hit.id], state.collection);
        results.restore(hit, place, later);
      };
      setNotice({ text: words.hidden(1), undo });
      if (state.open === null) return;
      const next = hits[place + 1] ?? hits[place - 1];
      if (next) go({ ...state, open: next.id }, { replace: true, isOpened: history.state?.isOpened });
      else close();
    } catch (error) {
      setNotice({ text: error.message === "offline" ? words.offline : error.message });
    }
  };
  const onHide = server.writes ? hide : null;
  const openFolder = (hit) =>
    api.openFolder(hit.id, state.collection).catch((error) => setNotice({ text: error.message === "offline" ? words.offline : error.message }));
  const told = html`<${Notice} words=${words} notice=${notice} onClose=${() => setNotice(null)} />`;
  return html`
    <a class="skip" href="#results">${words.skip}</a>
    <header class="bar">
      <a class="brand" href="/" aria-label=${words.top} onclick=${(event) => {
        event.preventDefault();
        ask({ ...EMPTY, collection: state.collection });
      }}><svg viewBox="0 0 32 32" aria-hidden="true"><circle cx="14" cy="14" r="8" /><path d="m20 20 7 7" /></svg><span>vlsearch</span></a>
      <${Navigation} words=${words} state=${state} canWrite=${server.writes} onGo=${(next) => {
        scrollTo(0, 0);
        go(next);
      }} />
      <${SearchBar} words=${words} state=${state} box=${box} onSearch=${ask} onFile=${sendFile} />
      <div class="settings">
        ${held.length > 1 && html`
          <select aria-label=${words.collection} onchange=${(event) => ask({ ...EMPTY, text: state.text, collection: event.target.value })}>
            ${held.map((one) => html`<option value=${one.name} selected=${one.name === (state.collection ?? held[0].name)}>${one.name}</option>`)}
          </select>
        `}
        <button type="button" class="icon" title=${words.theme[theme]} aria-label=${words.theme[theme]} onclick=${() => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % 3])}>
          <svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8" /><path class="half" d="M12 4a8 8 0 0 1 0 16z" /></svg>
        </button>
        <button type="button" class="plain-button" aria-label=${words.languageLabel} lang=${language === "zh" ? "en" : "zh-Hans"} onclick=${() => setLanguage(language === "zh" ? "en" : "zh")}>${words.language}</button>
      </div>
    </header>
    <main id="results" tabindex="-1" aria-label=${state.view ? words.views[state.view] : words.results}>
      ${state.view
        ? html`<${View} key=${state.view} words=${words} state=${state} server=${server} onGo=${go} onSearch=${ask} onNotice=${setNotice} />`
        : html`
            <${SearchScreen}
              words=${words}
              state=${state}
              results=${results}
              total=${held.find((one) => one.name === (state.collection ?? held[0].name))?.images ?? 0}
              upload=${upload}
              active=${active}
              takesFocus=${takesFocus}
              canSave=${server.writes}
              onNotice=${setNotice}
              onSearch=${ask}
              onOpen=${open}
              onSimilar=${similar}
              onHide=${onHide}
              onActive=${setActive}
            />
          `}
    </main>
    ${opened && Detail && html`
      <${Detail}
        words=${words}
        state=${state}
        hit=${opened}
        at=${at}
        all=${hits.length}
        hasMore=${hasMore}
        onClose=${close}
        onStep=${step}
        onSearch=${ask}
        onSimilar=${similar}
        onWhy=${explain}
        onHide=${state.view ? null : onHide}
        onFolder=${server.opens ? openFolder : null}
      >${told}<//>
    `}
    ${!(opened && Detail) && told}
    <${DropZone} words=${words} onFile=${sendFile} />
  `;
}

const language = firstLanguage();
const words = await wordsOf(language);
render(html`<${App} spoken=${{ language, words }} />`, document.getElementById("app"));
