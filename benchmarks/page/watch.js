// What a page tells of itself while it is measured: window.figures.

window.figures = { largest: 0, blocking: 0, delays: [], picture: 0 };

const watch = (type, use, more) =>
  new PerformanceObserver((list) => list.getEntries().forEach(use)).observe({ type, buffered: true, ...more });

watch("largest-contentful-paint", (one) => {
  window.figures.largest = one.startTime;
});
watch("longtask", (one) => {
  window.figures.blocking += Math.max(0, one.duration - 50);
});
watch(
  "event",
  (one) => {
    if (one.interactionId) window.figures.delays.push([one.processingStart - one.startTime, one.duration]);
  },
  { durationThreshold: 16 },
);
requestAnimationFrame(function look() {
  if (document.querySelector(".tile.shown img")) window.figures.picture = performance.now();
  else requestAnimationFrame(look);
});

/** The figures of the first load. */
window.atFirst = () => {
  const { largest, picture, blocking } = window.figures;
  const requests = performance.getEntriesByType("resource").filter((one) => one.responseEnd < picture).length;
  return [requests, performance.getEntriesByName("first-contentful-paint")[0].startTime, largest, picture, blocking];
};

/** Scroll by 300 frames; how many of them took longer than 50 ms. */
window.scrollThrough = () =>
  new Promise((done) => {
    const gaps = [];
    let last = performance.now();
    const step = (now) => {
      gaps.push(now - last);
      last = now;
      scrollBy(0, 400);
      if (gaps.length < 300) requestAnimationFrame(step);
      else done(gaps.filter((gap) => gap > 50).length);
    };
    requestAnimationFrame(step);
  });
