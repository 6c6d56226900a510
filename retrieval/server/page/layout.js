// Where the tiles of a grid lie: rows of equal height, filled from edge to edge. Pure.

export const GAP = 6;
const NARROWEST = 0.45;
const WIDEST = 3; // thumbnails are cut to it
const TEXT_ROW = 68;
const NARROW_TEXT_ROW = 92; // of two lines

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
  const height = width < 600 ? NARROW_TEXT_ROW : TEXT_ROW;
  const rows = hits.map((_, at) => ({ top: at * (height + GAP), height, first: at, tiles: [{ left: 0, width }] }));
  return { rows, height: Math.max(0, hits.length * (height + GAP) - GAP) };
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

/** The row of a tile, and how far to the right its middle lies. */
function placeOf(rows, at) {
  const row = rows.findIndex((one) => at < one.first + one.tiles.length);
  if (row < 0) return { row, middle: 0 };
  const tile = rows[row].tiles[at - rows[row].first];
  return { row, middle: tile.left + tile.width / 2 };
}

/**
 * The tile that an arrow key leads to from another one, and the column to stay in: up and down keep to the column that
 * they began in, so that up undoes down; other keys leave it (null).
 */
export function step(rows, at, key, column = null) {
  const last = rows.length ? rows.at(-1).first + rows.at(-1).tiles.length - 1 : 0;
  if (key === "ArrowLeft") return { at: Math.max(0, at - 1), column: null };
  if (key === "ArrowRight") return { at: Math.min(last, at + 1), column: null };
  if (key === "Home") return { at: 0, column: null };
  if (key === "End") return { at: last, column: null };
  const { row, middle } = placeOf(rows, at);
  const other = rows[row + (key === "ArrowUp" ? -1 : 1)];
  if (row < 0 || !other) return { at, column };
  const kept = column ?? middle;
  const found = other.tiles.findIndex((tile) => kept <= tile.left + tile.width + GAP);
  return { at: other.first + (found < 0 ? other.tiles.length - 1 : found), column: kept };
}
