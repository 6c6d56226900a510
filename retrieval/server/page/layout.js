// Where the tiles of a grid lie: rows of equal height, filled from edge to edge. Pure.

export const GAP = 6;
const NARROWEST = 0.45;
const WIDEST = 3; // thumbnails are cut to it
const TEXT_ROW = 68;

const aspectOf = (hit) => {
  const aspect = hit.width && hit.height ? hit.width / hit.height : 4 / 3;
  return Math.min(WIDEST, Math.max(NARROWEST, aspect));
};

/**
 * Lay hits out in rows: [{top, height, first, tiles: [{left, width}]}], and the height of all.
 * A row is closed when, stretched to the width, it is no higher than the target.
 */
export function justify(hits, width, target) {
  const rows = [];
  let top = 0;
  let first = 0;
  let aspects = [];
  const close = (height) => {
    let left = 0;
    const tiles = aspects.map((aspect) => {
      const tile = { left, width: aspect * height };
      left += tile.width + GAP;
      return tile;
    });
    rows.push({ top, height, first, tiles });
    top += height + GAP;
    first += aspects.length;
    aspects = [];
  };
  for (const hit of hits) {
    aspects.push(aspectOf(hit));
    const height = (width - GAP * (aspects.length - 1)) / aspects.reduce((sum, aspect) => sum + aspect, 0);
    if (height <= target) close(height);
  }
  if (aspects.length) close(target);
  return { rows, height: Math.max(0, top - GAP) };
}

/** Lay texts out, one a row. */
export function stack(hits, width) {
  const rows = hits.map((_, at) => ({ top: at * (TEXT_ROW + GAP), height: TEXT_ROW, first: at, tiles: [{ left: 0, width }] }));
  return { rows, height: Math.max(0, hits.length * (TEXT_ROW + GAP) - GAP) };
}

/** The index of the first row that ends below a height. */
export function rowAt(rows, height) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].top + rows[middle].height < height) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The tile that an arrow key leads to from another one. */
export function step(rows, at, key) {
  const last = rows.length ? rows.at(-1).first + rows.at(-1).tiles.length - 1 : 0;
  if (key === "ArrowLeft") return Math.max(0, at - 1);
  if (key === "ArrowRight") return Math.min(last, at + 1);
  if (key === "Home") return 0;
  if (key === "End") return last;
  const row = rows.findIndex((one) => at < one.first + one.tiles.length);
  const other = rows[row + (key === "ArrowUp" ? -1 : 1)];
  if (row < 0 || !other) return at;
  const tile = rows[row].tiles[at - rows[row].first];
  const middle = tile.left + tile.width / 2;
  const distances = other.tiles.map((one) => Math.abs(one.left + one.width / 2 - middle));
  return other.first + distances.indexOf(Math.min(...distances));
}
