// Points of a map, and a camera over them: {x, y, scale}, the place in the middle and the pixels of a step. Pure.

const ROOM = 0.92; // of the canvas, that all points take up

const extentOf = (values) => {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
};

/** The camera that sees all points. */
export function fit({ x, y }, { width, height }) {
  const [[left, right], [bottom, top]] = [extentOf(x), extentOf(y)];
  const scale = ROOM * Math.min(width / Math.max(1, right - left), height / Math.max(1, top - bottom));
  return { x: (left + right) / 2, y: (bottom + top) / 2, scale };
}

/** The camera after the points have moved by pixels. */
export const moved = (camera, right, down) => ({ ...camera, x: camera.x - right / camera.scale, y: camera.y + down / camera.scale });

/** The camera nearer by a factor, what lies at a place in pixels staying there. */
export function zoomed(camera, size, place, factor, points) {
  const least = fit(points, size).scale / 2;
  const scale = Math.min(Math.max(camera.scale * factor, least), 40);
  const [right, up] = [place.x - size.width / 2, size.height / 2 - place.y];
  return { scale, x: camera.x + right / camera.scale - right / scale, y: camera.y + up / camera.scale - up / scale };
}

/** The points that a camera sees, by their place in the columns. */
export function pointsWithin({ x, y }, camera, { width, height }) {
  const [halfWidth, halfHeight] = [width / 2 / camera.scale, height / 2 / camera.scale];
  const found = [];
  for (let at = 0; at < x.length; at += 1) {
    if (Math.abs(x[at] - camera.x) <= halfWidth && Math.abs(y[at] - camera.y) <= halfHeight) found.push(at);
  }
  return found;
}

/** Of the points that are seen, the nearest one to a place, at most so many pixels away; else null. */
export function nearest({ x, y }, within, camera, size, place, pixels) {
  let [best, least] = [null, pixels ** 2];
  for (const at of within) {
    const right = size.width / 2 + (x[at] - camera.x) * camera.scale - place.x;
    const down = size.height / 2 - (y[at] - camera.y) * camera.scale - place.y;
    const distance = right ** 2 + down ** 2;
    if (distance <= least) [best, least] = [at, distance];
  }
  return best;
}

/** The area between two places, in steps: [left, bottom, right, top]. */
export function areaOf(camera, size, one, other, steps) {
  const limited = (value) => Math.min(steps, Math.max(0, value));
  const [left, right] = [one.x, other.x].sort((a, b) => a - b).map((x) => camera.x + (x - size.width / 2) / camera.scale);
  const [top, bottom] = [one.y, other.y].sort((a, b) => a - b).map((y) => camera.y - (y - size.height / 2) / camera.scale);
  return [Math.floor(limited(left)), Math.floor(limited(bottom)), Math.ceil(limited(right)), Math.ceil(limited(top))];
}
