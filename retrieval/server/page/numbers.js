// Numbers and months as both languages write them.

export const monthName = (language, month) =>
  new Date(`${month}-15T00:00:00Z`).toLocaleDateString(language, { year: "numeric", month: "short", timeZone: "UTC" });

export const count = (number) => number.toLocaleString("en");

/** Whether the score of a hit means something to people: sums of reciprocal ranks do not. */
export const hasScore = (hit) => hit.score !== undefined && !hit.ranks;
