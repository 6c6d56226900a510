// The screen of a search: what was asked, what narrows it down, and the hits.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { allParts } from "./api.js";
import { conditionList, withoutConditions } from "./conditions.js";
import { Chosen, Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { SaveAlbum } from "./saving.js";
import { Reading, Sum } from "./searchbar.js";
import { SORTS, toAddress } from "./state.js";

const WIDE = 700; // pixels: on narrower screens filters would push the results away

export function SearchScreen({ words, state, results, total, upload, active, takesFocus, canSave, onNotice, onSearch, onOpen, onSimilar, onHide, onActive }) {
  const [isFiltering, setFiltering] = useState(() => innerWidth >= WIDE && conditionList(state).length > 0);
  const [isSaving, setSaving] = useState(false);
  const saver = useRef(null); // the button that opens the form
  const { hits } = results;
  const hasMore = results.next !== null;
  const isAsking = allParts(state).length > 0;
  const isLoading = results.status === "loading";
  const narrowing = conditionList(state).length;
  const isNarrowed = isAsking || narrowing > 0;
  const asked = toAddress({ ...state, open: null, why: false });
  useEffect(() => setSaving(false), [asked]);
  const onAgain = () => {
    scrollTo(0, 0);
    takesFocus.current = true;
    onActive(0);
    results.retry();
  };
  const closeSaving = () => {
    setSaving(false);
    saver.current?.focus();
  };
  const said = isLoading && !hits.length
    ? words.searching
    : !hits.length ? (results.status === "done" ? words.noHits : "") : !isAsking ? words.newest(hasMore && !narrowing ? Math.max(total, hits.length) : hits.length, hasMore && narrowing > 0)
    : state.sort === "score" ? words.judged(results.verdict, words.found(hits.length, hasMore, hits[0].kind)) : words.sorted(hits.length, hits[0].kind);
  return html`
    <h1 class="unseen-heading">${words.searchLabel}</h1>
    ${state.parts.length > 0 && html`<${Sum} words=${words} state=${state} onSearch=${onSearch} />`}
    ${upload && upload !== "sending" && html`<p class="warning" role="alert">${upload}</p>`}
    <div class="heading">
      <p role="status">${upload === "sending" ? words.uploading : said}</p>
      <${Reading} words=${words} state=${state} readings=${results.readings} onSearch=${onSearch} />
      <div class="choices">
      ${isAsking && html`
        <select aria-label=${words.sort} onchange=${(event) => onSearch({ ...state, sort: event.target.value })}>
          ${SORTS.map((sort) => html`<option value=${sort} selected=${sort === state.sort}>${words.sorts[sort]}</option>`)}
        </select>
        <fieldset class="kinds">
          <legend>${words.find}</legend>
          ${["image", "text"].map((kind) => html`
            <label class=${state.find === kind ? "chosen" : ""}>
              <input type="radio" name="find" checked=${state.find === kind} onchange=${() => onSearch({ ...state, find: kind })} />
              ${kind === "image" ? words.images : words.texts}
            </label>
          `)}
        </fieldset>
      `}
      <button type="button" aria-expanded=${isFiltering} aria-controls="filters" onclick=${() => setFiltering(!isFiltering)}>${words.filter(narrowing)}</button>
      ${isAsking && canSave && html`<button type="button" ref=${saver} aria-expanded=${isSaving} aria-controls="saving" onclick=${() => setSaving(!isSaving)}>${words.saveAlbum}</button>`}
      </div>
    </div>
    ${isSaving && html`<${SaveAlbum} words=${words} state=${state} onNotice=${onNotice} onClose=${closeSaving} />`}
    ${!isNarrowed && hits.length > 0 && html`<p class="hint quiet">${words.hint} <span class="keys">${words.hintKeys}</span></p>`}
    <${Chosen} words=${words} state=${state} areFiltersShown=${isFiltering} onSearch=${onSearch} />
    ${isFiltering && html`<${Filters} words=${words} state=${state} onSearch=${onSearch} />`}
    <${Grid}
      words=${words}
      state=${state}
      hits=${hits}
      hasMore=${hasMore && results.status === "done"}
      isLoading=${isLoading}
      onMore=${results.more}
      onOpen=${onOpen}
      onSimilar=${onSimilar}
      onExplain=${(hit) => isAsking && onOpen(hit, true)}
      onHide=${onHide}
      active=${active}
      onActive=${onActive}
      takesFocus=${takesFocus}
    />
    ${isLoading && html`<div class="waiting" aria-hidden="true">${[5, 3, 4, 6, 4, 3, 5].map((width, at) => html`<span key=${at} class=${`w${width}`}></span>`)}</div>`}
    ${results.status === "failed" && html`
      <div class="empty" role="alert">
        <h2>${words.failed}</h2>
        <p>${results.error === "offline" ? words.offline : results.error}</p>
        ${results.isMistake
          ? narrowing > 0 && html`<button type="button" class="primary" onclick=${() => onSearch(withoutConditions(state))}>${words.clear}</button>`
          : html`<button type="button" class="primary" onclick=${results.retry}>${words.retry}</button>`}
      </div>
    `}
    ${results.status === "ended" && html`
      <div class="ended" role="status">
        <p>${words.ended}</p>
        <button type="button" onclick=${onAgain}>${words.searchAgain}</button>
      </div>
    `}
    ${results.status === "done" && !hits.length && html`
      <div class="empty">
        <h2>${isNarrowed ? words.noHits : words.nothing}</h2>
        <p>${isNarrowed ? words.noHitsMore : words.nothingMore}</p>
        ${narrowing > 0 && html`<button type="button" class="primary" onclick=${() => onSearch(withoutConditions(state))}>${words.clear}</button>`}
      </div>
    `}
  `;
}
