// The hits of a search, read page by page as the user goes on.

import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { search } from "./api.js";
import { asksSame } from "./state.js";

const PAGE = 100;
const LATER_PAGES = 500; // for whoever scrolls on
const SORTED = 500; // hits in another order than the best first: of so many best, and no more
const NONE = { of: null, hits: [], next: {}, readings: [], verdict: null, status: "loading", error: null, isMistake: false };
const BEGIN_AGAIN = new Set([400, 404, 409]); // of a page behind the first: the collection, or what is asked with, is another one now

/**
 * Hits of a state, and a function that reads the next page: {hits, next, readings, verdict, status, error, isMistake,
 * more, retry, drop, restore}; nothing of null. `status` is "loading", "done", "failed", or "ended" where no page joins
 * these hits; after a mistake the same search would fail again.
 */
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
      const isFirst = !before.hits.length;
      const page = await search(wanted, before.next, wanted.sort !== "score" ? SORTED : isFirst ? PAGE : LATER_PAGES, abort.signal);
      const askedWith = new Set(wanted.parts.map((part) => part.item));
      update({
        of: wanted,
        hits: [...before.hits, ...page.hits.filter((hit) => !askedWith.has(hit.id))],
        next: wanted.sort === "score" ? page.next : null,
        readings: isFirst ? page.readings ?? [] : before.readings,
        verdict: isFirst ? page.verdict ?? null : before.verdict,
        status: "done",
        error: null,
      });
    } catch (error) {
      if (error.name === "AbortError") return;
      const status = before.hits.length && BEGIN_AGAIN.has(error.status) ? "ended" : "failed";
      update({ ...before, of: wanted, status, error: error.message, isMistake: error.status === 400 });
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
  const retry = useCallback(() => read(asked.current, latest.current.status === "ended" ? NONE : latest.current), []);
  /** Leave out a hit that was hidden by the commit that made a generation. */
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

/** An answer after a commit of our own, which moves pages of words; where others have committed too, they have ended. */
function afterChange(now, generation, by) {
  const { next } = now;
  if (next?.offset === undefined || generation !== next.generation + 1) return now;
  return { ...now, next: { offset: next.offset + by, generation } };
}
