// The grid of hits. Only the rows near the window are in the document, so that a hundred thousand hits scroll as ten do.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { thumbnail } from "./api.js";
import { justify, rowAt, stack, step } from "./layout.js";
import { hasScore } from "./numbers.js";
import { toAddress } from "./state.js";

const KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);
const NEAR = 1200; // pixels above and below the window that are drawn ahead
const NEAR_END = 2000;

const targetHeight = (width) => (width < 500 ? 120 : width < 1000 ? 170 : 210);

/** Where the window is over an element: its width, and the span of it that is seen. */
function useSpan(ref) {
  const [span, setSpan] = useState({ width: 0, from: 0, to: 0 });
  useLayoutEffect(() => {
    let due = 0;
    const look = () => {
      due = 0;
      const box = ref.current?.getBoundingClientRect();
      if (box) setSpan({ width: box.width, from: -box.top, to: innerHeight - box.top });
    };
    const soon = () => {
      due ||= requestAnimationFrame(look);
    };
    look();
    const observer = new ResizeObserver(soon);
    observer.observe(ref.current);
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(due);
      observer.disconnect();
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, []);
  return span;
}

export function Grid({ words, state, hits, hasMore, isLoading, onMore, onOpen, onSimilar, onExplain, onHide, active, onActive, takesFocus }) {
  const ref = useRef(null);
  const wantsFocus = useRef(null); // the number of the hit that is to have it: effects of an earlier drawing, which come late, must not spend the wish
  const holdsFocus = useRef(false);
  const isDrawing = useRef(false);
  isDrawing.current = true;
  const walk = useRef({ at: 0, column: null }); // where arrow keys led: more of them may come before this is drawn again
  if (walk.current.at !== active) walk.current = { at: active, column: null };
  const span = useSpan(ref);
  const areTexts = hits.length > 0 && hits[0].kind === "text";
  const { rows, height } = useMemo(
    () => (areTexts ? stack(hits, span.width) : justify(hits, span.width, targetHeight(span.width))),
    [hits, span.width, areTexts],
  );
  const first = rowAt(rows, span.from - NEAR);
  const end = Math.min(rows.length, rowAt(rows, span.to + NEAR) + 1);
  const shown = [];
  for (let at = first; at < end; at += 1) shown.push(rows[at]);
  const activeRow = rows.find((row) => active < row.first + row.tiles.length);
  // else the keyboard would lose its place
  if (activeRow && !shown.includes(activeRow)) shown[activeRow.top < (shown[0]?.top ?? 0) ? "unshift" : "push"](activeRow);

  useEffect(() => {
    if (hasMore && span.width && span.to > height - NEAR_END) onMore();
  }, [hasMore, span.to, span.width, height]);

  useEffect(() => {
    if (wantsFocus.current !== active && !takesFocus.current) return;
    const tile = ref.current.querySelector(`[data-at="${active}"]`);
    if (!tile) return;
    tile.focus({ preventScroll: true });
    if (document.activeElement !== tile) return; // under a dialog that is still open: the next drawing is without it
    wantsFocus.current = null;
    takesFocus.current = false;
    tile.scrollIntoView({ block: "nearest" });
  });

  useLayoutEffect(() => {
    // what draws moves tiles in the document when rows come and go, and a tile that is moved loses the focus
    isDrawing.current = false;
    if (holdsFocus.current && !ref.current.contains(document.activeElement)) {
      ref.current.querySelector(`[data-at="${active}"]`)?.focus({ preventScroll: true });
    }
  });
  const onFocusOut = () => {
    if (!isDrawing.current) holdsFocus.current = false;
  };

  const onKeyDown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (KEYS.has(event.key)) {
      event.preventDefault();
      walk.current = step(rows, walk.current.at, event.key, walk.current.column);
      wantsFocus.current = walk.current.at;
      onActive(walk.current.at);
    } else if (event.key === "s") {
      event.preventDefault();
      onSimilar(hits[active]);
    } else if (event.key === "e") {
      event.preventDefault();
      onExplain(hits[active]);
    } else if (event.key === "x" && onHide) {
      event.preventDefault();
      wantsFocus.current = active;
      onHide(hits[active]);
    }
  };

  return html`
    <ul class="grid" ref=${ref} style=${{ height: `${height}px` }} onkeydown=${onKeyDown} onfocusin=${() => (holdsFocus.current = true)} onfocusout=${onFocusOut} aria-busy=${isLoading}>
      ${shown.flatMap((row) =>
        row.tiles.map((tile, column) => {
          const at = row.first + column;
          const place = { left: `${tile.left}px`, top: `${row.top}px`, width: `${tile.width}px`, height: `${row.height}px` };
          return html`<${Tile}
            key=${hits[at].id}
            words=${words}
            state=${state}
            hit=${hits[at]}
            at=${at}
            all=${hasMore ? -1 : hits.length}
            place=${place}
            isActive=${at === active}
            onOpen=${onOpen}
            onActive=${onActive}
          />`;
        }),
      )}
    </ul>
  `;
}

function Tile({ words, state, hit, at, all, place, isActive, onOpen, onActive }) {
  const [status, setStatus] = useState("loading");
  const caption = hit.captions[0]?.text;
  const label = words.hit(hit.rank ? at + 1 : 0, [hit.text ?? caption ?? hit.name, hit.moment].filter(Boolean).join(" "));
  const open = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    onOpen(hit);
  };
  const size = devicePixelRatio * parseFloat(place.height) > 260 ? 480 : 240;
  return html`
    <li style=${place} aria-posinset=${at + 1} aria-setsize=${all}>
      <a
        href=${toAddress({ ...state, open: hit.id })}
        class=${hit.kind === "text" ? "tile words" : `tile ${status}`}
        data-at=${at}
        tabindex=${isActive ? 0 : -1}
        aria-label=${label}
        onclick=${open}
        onfocus=${() => onActive(at)}
      >
        ${hit.kind === "text"
          ? html`<span lang=${hit.lang}>${hit.text}</span><small>${hit.name} <${Score} words=${words} hit=${hit} /></small>`
          : html`
              <img
                src=${thumbnail(hit, size, state.collection)}
                alt=""
                decoding="async"
                draggable="false"
                onload=${() => setStatus("shown")}
                onerror=${() => setStatus("broken")}
              />
              ${status === "broken" && html`<span class="unseen">${hit.missing ? words.missing : words.unseen}<br />${hit.name}</span>`}
              ${hit.moment && html`<span class="moment" aria-hidden="true">${hit.moment}</span>`}
              <span class="label" aria-hidden="true">
                <span>${caption ?? hit.name}</span> <${Score} words=${words} hit=${hit} />
              </span>
            `}
      </a>
    </li>
  `;
}

const Score = ({ words, hit }) =>
  hasScore(hit) && html`<span class="score" title=${words.score}>${hit.cosine.toFixed(2)}</span>`;
