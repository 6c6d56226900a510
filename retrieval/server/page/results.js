// The hits of a search, read page by page as the user goes on.

import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { search } from "./api.js";
import { asksSame } from "./state.js";

const PAGE = 100;
const SORTED = 500; // hits in another order than the best first: of so many best, and no more
const NONE = { of: null, hits: [], next: 0, generation: null, readings: [], verdict: null, status: "loading", error: null };

/** Hits of a state, and a function that reads the next page: {hits, next, readings, verdict, status, error, more, retry}. */
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
      const page = await search(wanted, before.next, before.generation, wanted.sort === "score" ? PAGE : SORTED, abort.signal);
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
  const isCurrent = answer.of !== null && asksSame(answer.of, state); // not so in the moment after the state has changed
  return { ...(isCurrent ? answer : NONE), more, retry };
}
