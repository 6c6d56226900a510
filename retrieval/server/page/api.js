// Requests to the server that gave out this page, and to no other.

import { conditionOf } from "./conditions.js";

/** An error that the server, or its absence, tells in a sentence. */
export class Failed extends Error {
  constructor(sentence, status = null) {
    super(sentence);
    this.status = status;
  }
}

const BUSY_TRIES = 3;
const SOON_S = 2; // after which a server says that it can answer, for it to be asked again unasked

async function ask(path, options = {}) {
  for (let tries = 1; ; tries += 1) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failed("offline");
    }
    const wait = Number(answer.headers.get("retry-after") ?? 1);
    if ((answer.status === 429 || (answer.status === 503 && answer.headers.has("retry-after") && wait <= SOON_S)) && tries < BUSY_TRIES) {
      await new Promise((done) => setTimeout(done, 1000 * wait));
      continue;
    }
    if (answer.status === 401) location.reload();
    const facts = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Failed(facts.error ?? `${answer.status} ${answer.statusText}`, answer.status);
    return facts;
  }
}

const send = (method, path, body, { headers = {}, signal } = {}) =>
  ask(path, { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body), signal });

const post = (path, body, signal) => send("POST", path, body, { signal });

const query = (values) => {
  const found = Object.entries(values)
    .flatMap(([name, value]) => (Array.isArray(value) ? value.map((one) => [name, one]) : [[name, value]]))
    .filter(([, value]) => value !== null && value !== undefined);
  return found.length ? `?${new URLSearchParams(found)}` : "";
};

export const collections = () => ask("/v1/collections");

/**
 * A page of hits of a query, or of the newest pictures where there is none. Its `next` is what asks for the page behind
 * it, null where there is none: pages join however often the collection is written to meanwhile, but for those of words,
 * whose ranks hold for one state of it.
 */
export async function search(state, next, k, signal) {
  if (!allParts(state).length) return newest(state, next, k, signal);
  const page = await post("/v1/search", { ...searchOf(state), ...next, k }, signal);
  if (page.mode === "vector") return { ...page, next: page.cursor && { cursor: page.cursor } };
  return { ...page, next: page.next && { offset: page.next, generation: page.generation } };
}

async function newest(state, next, k, signal) {
  const asked = { kind: "image", k, ...next, where: conditionOf(state) || null, area: areaText(state), collection: state.collection };
  const page = await ask(`/v1/items${query(asked)}`, { signal });
  return { ...page, next: page.next && { before: page.next } };
}

/** What a state asks, as it is posted; without what is of one page. */
function searchOf(state) {
  const body = { parts: allParts(state), distinct: true, literal: state.literal, find: state.find, sort: state.sort };
  const where = conditionOf(state);
  if (where) body.where = where;
  if (state.mode) body.mode = state.mode;
  if (state.only) body.only = state.only;
  if (state.least !== null) body.min_score = state.least;
  if (state.area) body.area = areaText(state);
  if (state.collection) body.collection = state.collection;
  return body;
}

/** Values of fields to choose from, of what meets the typed condition unless another one is given. */
export const facets = (state, more = {}, signal = undefined) =>
  ask(`/v1/facets${query({ kind: state.find, where: state.where || null, collection: state.collection, ...more })}`, { signal });

/** Why an item has its score with the query of a state. */
export function explain(id, state, signal) {
  const body = { parts: allParts(state), literal: state.literal };
  if (state.collection) body.collection = state.collection;
  return post(`/v1/items/${id}/explain`, body, signal);
}

export const albums = (collection) => ask(`/v1/albums${query({ collection })}`);

/** The first hits of the search of an album. */
export const albumHits = (search, k, collection, signal) =>
  post("/v1/search", { ...withValues(search), k, offset: 0, distinct: true, ...(collection ? { collection } : {}) }, signal);

const albumPath = (name) => `/v1/albums/${encodeURIComponent(name)}`;

/** Keep the search of a state under a name; fails with status 412 where the name is taken and is not to be replaced. */
export const saveAlbum = (name, state, isReplaced) =>
  send("PUT", albumPath(name), searchOf(state), { headers: isReplaced ? {} : { "If-None-Match": "*" } });

/** Rename an album; fails with status 409 where there is one of the other name. */
export const renameAlbum = (name, other, collection) => post(albumPath(name), { name: other, ...(collection ? { collection } : {}) });

export const deleteAlbum = (name, collection) => ask(`${albumPath(name)}${query({ collection })}`, { method: "DELETE" });

const withValues = (facts) => Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null));

export const corpora = (collection) => ask(`/v1/corpora${query({ collection })}`);

/** The index run under way, or the last one; null where there has been none. */
export const indexRun = () => ask("/v1/index").catch((error) => (error.status === 404 ? null : Promise.reject(error)));

export const startIndex = (what, collection) => post("/v1/index", collection ? { ...what, collection } : what);

export const stopIndex = () => ask("/v1/index", { method: "DELETE" });

export const addPicture = (upload, name, collection) => post("/v1/pictures", { upload, name, ...(collection ? { collection } : {}) });

/** All pictures as points, or how far the server is with laying them out. */
export const map = ({ fresh, ...more }, signal) => ask(`/v1/map${query({ fresh: fresh ? "true" : null, ...more })}`, { signal });

/** A page of groups of duplicates, or how far the server is with finding them. */
export const duplicates = ({ classes, fresh, ...more }, signal) =>
  ask(`/v1/duplicates${query({ class: classes, fresh: fresh ? "true" : null, ...more })}`, { signal });

const change = (path) => (items, collection) => post(path, collection ? { items, collection } : { items });

export const hide = change("/v1/hide");
export const unhide = change("/v1/unhide");
export const keepDuplicates = change("/v1/duplicates/keep");
export const forgetDuplicates = change("/v1/duplicates/forget");

export const item = (id, collection) => ask(`/v1/items/${id}${query({ collection })}`);

/** Show the folder of an item on the desktop of the server, where that is this machine. */
export const openFolder = (id, collection) => post(`/v1/items/${id}/open-folder`, collection ? { collection } : {});

export const upload = (file) => ask("/v1/uploads", { method: "POST", body: file });

/** The area of the map that a state is about, as the server reads it; null for all of it. */
export const areaText = ({ area }) => (area ? area.join(",") : null);

/** The parts of a query: the words in the box, then those of the sum. */
export function allParts(state) {
  const words = state.text.trim();
  return [...(words ? [{ text: words }] : []), ...state.parts];
}

export const thumbnail = (hit, size, collection) =>
  `/v1/items/${hit.id}/thumbnail${query({ size, version: hit.version, collection })}`;

export const original = (hit, collection) => `/v1/items/${hit.id}/picture${query({ version: hit.version, collection })}`;

export const uploadThumbnail = (digest) => `/v1/uploads/${digest}/thumbnail?size=240`;
