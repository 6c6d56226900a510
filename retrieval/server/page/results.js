// The hits of a search, read page by page as the user goes on.

import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { allParts, search } from "./api.js";
import { asksSame } from "./state.js";

const PAGE = 100;
const LATER_PAGES = 500; // for whoever scrolls on
const SORTED = 500; // hits in another order than the best first: of so many best, and no more
const NONE = { of: null, hits: [], next: 0, generation: null, readings: [], verdict: null, status: "loading", error: null };

/** Hits of a state, and a function that reads the next page: {hits, next, readings, verdict, status, error, more, retry, drop, restore}; nothing of null. */
export function useResults(state) {
  const [answer, setAnswer] = useState(NONE);
  const asked = useRef(null);
  const reading = useRef(null);
  const latest = useRef(NONE);

  const update = (found) => {
    latest.current = found;
    setAnswer(found);
  };

  const read = useCallback(async (wanted, before) => {
    reading.current?.abort();
    const abort = new AbortController();
    reading.current = abort;
    update({ ...before, of: wanted, status: "loading", error: null });
    try {
      const page = await search(wanted, before.next, before.generation, wanted.sort !== "score" ? SORTED : before.hits.length ? LATER_PAGES : PAGE, abort.signal);
      const first = before.hits.length ? before.readings : page.readings ?? [];
      const verdict = before.hits.length ? before.verdict : page.verdict ?? null;
      const known = new Set([...before.hits.map((hit) => hit.id), ...wanted.parts.map((part) => part.item)]);
      update({
        of: wanted,
        hits: [...before.hits, ...page.hits.filter((hit) => !known.has(hit.id))],
        next: wanted.sort === "score" ? page.next : null,
        generation: page.generation,
        readings: first,
        verdict,
        status: "done",
        error: null,
      });
    } catch (error) {
      if (error.name !== "AbortError") update({ ...before, of: wanted, status: "failed", error: error.message });
    } finally {
      if (reading.current === abort) reading.current = null;
    }
  }, []);

  useEffect(() => {
    if (state === null) return;
    if (asked.current !== null && asksSame(asked.current, state)) return;
    asked.current = state;
    read(state, NONE);
  }, [state]);

  const more = useCallback(() => {
    const now = latest.current;
    if (now.status === "done" && now.next !== null) read(asked.current, now);
  }, []);
  const retry = useCallback(() => {
    const now = latest.current;
    // the collection has changed under the pages: only the beginning can be right
    read(asked.current, now.error?.includes("search again") ? NONE : now);
  }, []);
  /** Leave out a hit that was hidden by the commit that made a generation; the next pages begin one earlier. */
  const drop = useCallback((hit, generation) => {
    const now = latest.current;
    update(afterChange({ ...now, hits: now.hits.filter((one) => one !== hit) }, generation, -1));
  }, []);
  /** Take it in again. */
  const restore = useCallback((hit, place, generation) => {
    const now = latest.current;
    update(afterChange({ ...now, hits: [...now.hits.slice(0, place), hit, ...now.hits.slice(place)] }, generation, 1));
  }, []);
  const isCurrent = state !== null && answer.of !== null && asksSame(answer.of, state); // not so in the moment after the state has changed
  return { ...(isCurrent ? answer : NONE), more, retry, drop, restore };
}

/** An answer after a commit of our own; where others have committed too, its pages no longer join, and the next says so. */
function afterChange(now, generation, by) {
  if (generation !== now.generation + 1) return now;
  const isList = !allParts(now.of).length; // whose pages begin after an id
  return { ...now, generation, next: now.next === null || isList ? now.next : now.next + by };
}
