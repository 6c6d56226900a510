// The page: one state, which the address bar holds; everything shown follows from it and from what the server answers.

import { html, render, useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { conditionsOf, withoutConditions } from "./conditions.js";
import { Detail } from "./detail.js";
import { Chosen, Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { useResults } from "./results.js";
import { Reading, SearchBar, Sum } from "./searchbar.js";
import { EMPTY, SORTS, fromAddress, toAddress } from "./state.js";
import { firstLanguage, languages } from "./words.js";

const WIDE = 700; // pixels: on narrower screens filters would push the results away
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

function App() {
  const [state, go] = useAddress();
  const [language, setLanguage] = useKept("language", firstLanguage);
  const [theme, setTheme] = useKept("theme", () => (THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto"));
  const [held, setHeld] = useState([]);
  const [upload, setUpload] = useState(null);
  const [active, setActive] = useState(0);
  const [alone, setAlone] = useState(null);
  const box = useRef(null);
  const [isFiltering, setFiltering] = useState(() => innerWidth >= WIDE && conditionsOf(state).length > 0);
  const takesFocus = useRef(false);
  const results = useResults(state);
  const words = languages[language];
  const { hits } = results;
  const hasMore = results.next !== null;

  useEffect(() => {
    api.collections().then(({ collections }) => setHeld(collections), () => setHeld([]));
  }, []);
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.documentElement.dataset.theme = theme;
    document.title = state.text ? `${state.text} – vlsearch` : "vlsearch";
  }, [language, theme, state.text]);

  const ask = useCallback((next) => {
    setActive(0);
    setUpload(null);
    scrollTo(0, 0);
    go({ ...next, open: null, why: false });
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
    if (state.open === null || at >= 0 || alone?.id === state.open || results.status === "loading") return;
    api.item(state.open, state.collection).then(setAlone, () => go({ ...state, open: null }, { replace: true }));
  }, [state.open, at, results.status]);
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

  const isAsking = api.allParts(state).length > 0;
  const isLoading = results.status === "loading";
  const said = isLoading && !hits.length
    ? words.searching
    : !hits.length ? (results.status === "done" ? words.noHits : "") : !isAsking ? words.newest(hits.length)
    : state.sort === "score" ? words.judged(results.verdict, words.found(hits.length, hasMore, hits[0].kind)) : words.sorted(hits.length, hits[0].kind);
  const narrowing = conditionsOf(state).length;
  const isNarrowed = isAsking || narrowing > 0;
  return html`
    <a class="skip" href="#results">${words.skip}</a>
    <header class="bar">
      <a class="brand" href="/" aria-label=${words.top} onclick=${(event) => {
        event.preventDefault();
        ask({ ...EMPTY, collection: state.collection });
      }}><svg viewBox="0 0 32 32" aria-hidden="true"><circle cx="14" cy="14" r="8" /><path d="m20 20 7 7" /></svg><span>vlsearch</span></a>
      <${SearchBar} words=${words} state=${state} box=${box} onSearch=${ask} onFile=${sendFile} />
      <div class="settings">
        ${held.length > 1 && html`
          <select aria-label=${words.collection} onchange=${(event) => ask({ ...EMPTY, text: state.text, collection: event.target.value })}>
            ${held.map((one) => html`<option selected=${one.name === (state.collection ?? held[0].name)}>${one.name}</option>`)}
          </select>
        `}
        <button type="button" class="icon" title=${words.theme[theme]} aria-label=${words.theme[theme]} onclick=${() => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % 3])}>
          <svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8" /><path class="half" d="M12 4a8 8 0 0 1 0 16z" /></svg>
        </button>
        <button type="button" class="plain-button" aria-label=${words.languageLabel} lang=${language === "zh" ? "en" : "zh-Hans"} onclick=${() => setLanguage(language === "zh" ? "en" : "zh")}>${words.language}</button>
      </div>
    </header>
    <main id="results" tabindex="-1" aria-label=${words.results}>
      <h1 class="unseen-heading">${words.searchLabel}</h1>
      ${state.parts.length > 0 && html`<${Sum} words=${words} state=${state} onSearch=${ask} />`}
      ${upload && upload !== "sending" && html`<p class="warning" role="alert">${upload}</p>`}
      <div class="heading">
        <p role="status">${upload === "sending" ? words.uploading : said}</p>
        <${Reading} words=${words} state=${state} readings=${results.readings} onSearch=${ask} />
        <div class="choices">
        ${isAsking && html`
          <select aria-label=${words.sort} onchange=${(event) => ask({ ...state, sort: event.target.value })}>
            ${SORTS.map((sort) => html`<option value=${sort} selected=${sort === state.sort}>${words.sorts[sort]}</option>`)}
          </select>
          <fieldset class="kinds">
            <legend>${words.find}</legend>
            ${["image", "text"].map((kind) => html`
              <label class=${state.find === kind ? "chosen" : ""}>
                <input type="radio" name="find" checked=${state.find === kind} onchange=${() => ask({ ...state, find: kind })} />
                ${kind === "image" ? words.images : words.texts}
              </label>
            `)}
          </fieldset>
        `}
        <button type="button" aria-expanded=${isFiltering} aria-controls="filters" onclick=${() => setFiltering(!isFiltering)}>${words.filter(narrowing)}</button>
        </div>
      </div>
      ${isFiltering ? html`<${Filters} words=${words} state=${state} onSearch=${ask} />` : html`<${Chosen} words=${words} state=${state} onSearch=${ask} />`}
      <${Grid}
        words=${words}
        state=${state}
        hits=${hits}
        hasMore=${hasMore && results.status === "done"}
        isLoading=${isLoading}
        onMore=${results.more}
        onOpen=${open}
        onSimilar=${similar}
        onExplain=${(hit) => isAsking && open(hit, true)}
        active=${active}
        onActive=${setActive}
        takesFocus=${takesFocus}
      />
      ${isLoading && html`<div class="waiting" aria-hidden="true">${[5, 3, 4, 6, 4, 3, 5].map((width, at) => html`<span key=${at} class=${`w${width}`}></span>`)}</div>`}
      ${results.status === "failed" && html`
        <div class="empty" role="alert">
          <h2>${words.failed}</h2>
          <p>${results.error === "offline" ? words.offline : results.error}</p>
          <button type="button" class="primary" onclick=${results.retry}>${words.retry}</button>
        </div>
      `}
      ${results.status === "done" && !hits.length && html`
        <div class="empty">
          <h2>${isNarrowed ? words.noHits : words.nothing}</h2>
          <p>${isNarrowed ? words.noHitsMore : words.nothingMore}</p>
          ${narrowing > 0 && html`<button type="button" class="primary" onclick=${() => ask(withoutConditions(state))}>${words.clear}</button>`}
        </div>
      `}
      ${!isAsking && hits.length > 0 && html`<p class="hint quiet">${words.hint}</p>`}
    </main>
    ${opened && html`
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
      />
    `}
    <${DropZone} words=${words} onFile=${sendFile} />
  `;
}

function DropZone({ words, onFile }) {
  const [isOver, setOver] = useState(false);
  const drop = useRef(onFile);
  drop.current = onFile;
  useEffect(() => {
    const holdsFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const over = (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event) => event.relatedTarget === null && setOver(false);
    const dropped = (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      setOver(false);
      if (event.dataTransfer.files[0]) drop.current(event.dataTransfer.files[0]);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", dropped);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", dropped);
    };
  }, []);
  return isOver ? html`<div class="drop"><p>${words.drop}</p></div>` : null;
}

render(html`<${App} />`, document.getElementById("app"));
