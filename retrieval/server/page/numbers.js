// Numbers and months as both languages write them.

export const monthName = (language, month) =>
  new Date(`${month}-15T00:00:00Z`).toLocaleDateString(language, { year: "numeric", month: "short", timeZone: "UTC" });

export const count = (number) => number.toLocaleString("en");

/** Whether a hit has a score that means something to people, its cosine: sums of reciprocal ranks do not. */
export const hasScore = (hit) => (hit.cosine ?? null) !== null;
