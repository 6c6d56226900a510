// Albums: searches that the collection keeps under names. Each is a link to what it finds now.

import { html, useEffect, useState } from "./vendor/htm-preact-standalone.js";
import * as api from "./api.js";
import { EMPTY, toAddress } from "./state.js";
import { Trouble } from "./views.js";

const COVERS = 4; // pictures of each

export function View({ words, state, onSearch }) {
  const [answer, setAnswer] = useState({ status: "loading" });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    api.albums(state.collection).then(
      ({ albums }) => setAnswer({ status: "done", albums }),
      (error) => setAnswer({ status: "failed", error: error.message }),
    );
  }, [state.collection, tries]);
  if (answer.status === "failed") return html`<${Trouble} words=${words} error=${answer.error} onRetry=${() => setTries(tries + 1)} />`;
  if (answer.status === "loading") return html`<p class="quiet" role="status">${words.loading}</p>`;
  if (!answer.albums.length) return html`<div class="empty"><h1>${words.noAlbums}</h1><p>${words.noAlbumsMore}</p><code>${ALBUM_COMMAND}</code></div>`;
  return html`
    <div class="heading">
      <h1>${words.views.albums}</h1>
      <p role="status">${words.albumCount(answer.albums.length)}</p>
    </div>
    <ul class="albums">
      ${answer.albums.map((album) => html`<${Album} key=${album.name} words=${words} album=${album} collection=${state.collection} onSearch=${onSearch} />`)}
    </ul>
  `;
}

const ALBUM_COMMAND = 'vlsearch album save beach "people on a beach" --after 2021';

function Album({ words, album, collection, onSearch }) {
  const [covers, setCovers] = useState(null); // null until they are known
  const target = stateOf(album.search, collection);
  const canAsk = album.search.parts.length > 0;
  useEffect(() => {
    if (!canAsk) return undefined;
    const abort = new AbortController();
    api.albumHits(album.search, COVERS, collection, abort.signal).then(({ hits }) => setCovers(hits), (error) => error.name !== "AbortError" && setCovers([]));
    return () => abort.abort();
  }, []);
  const follow = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onSearch(target);
  };
  const inside = html`
    <span class="covers" aria-hidden="true">
      ${(covers ?? []).map((hit) => (hit.kind === "text" ? html`<span key=${hit.id}>${hit.text}</span>` : html`<img key=${hit.id} src=${api.thumbnail(hit, 240, collection)} alt="" loading="lazy" />`))}
    </span>
    <h2>${album.name}</h2>
  `;
  return html`
    <li>
      ${canAsk ? html`<a class="album" href=${toAddress(target)} onclick=${follow}>${inside}</a>` : html`<div class="album">${inside}</div>`}
      <p class="quiet">${describe(words, album.search)}</p>
      ${album.missing.length > 0 && html`<p class="warning">${words.albumMissing(album.missing.join(", "))}</p>`}
      ${covers?.length === 0 && html`<p class="quiet">${words.noHits}</p>`}
    </li>
  `;
}

const describe = (words, { parts, where }) =>
  [...parts.map((part) => `${part.weight < 0 ? "\u2212" : ""}${part.text ?? words.picture}`), ...(where ? [where] : [])].join(" · ");

/** The state of the page that asks what an album asks. */
function stateOf(search, collection) {
  const [first, ...rest] = search.parts;
  const isPlain = first?.text !== undefined && first.weight === 1;
  const kind = search.parts.some((part) => part.text !== undefined) ? "image" : "text"; // as the engine chooses it
  return {
    ...EMPTY,
    collection,
    text: isPlain ? first.text : "",
    parts: isPlain ? rest : search.parts,
    literal: search.literal,
    find: search.find ?? kind,
    where: search.where ?? "",
    sort: search.sort,
    mode: search.mode,
    only: search.only,
    least: search.min_score,
  };
}
