// Months of a histogram, put together into bars, and spans of them. Pure.

const MOST_BARS = 180;
const MARK = 0.12; // share of the width that a year needs, on a telephone
const UNITS = [1, 12, 120, 1200]; // months of a bar

const numberOf = (month) => Number(month.slice(0, 4)) * 12 + Number(month.slice(5)) - 1;

/** Write the number of a month as a date does: 2021-05. */
export const monthOf = (number) =>
  `${String(Math.floor(number / 12)).padStart(4, "0")}-${String((number % 12) + 1).padStart(2, "0")}`;

export const isMonth = (text) => /^\d{4}-(0[1-9]|1[0-2])$/.test(text);

/**
 * Put months into bars without gaps: {first, unit, counts}; bar i stands for the months from first + i * unit on.
 * A bar is a month, or a year, ten or a hundred of them, as the span of time needs. Null where there is no month.
 */
export function barsOf(values) {
  const months = values.filter(({ value }) => isMonth(value)).map(({ value, count }) => [numberOf(value), count]);
  if (!months.length) return null;
  const numbers = months.map(([number]) => number);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const unit = UNITS.find((one) => Math.floor(high / one) - Math.floor(low / one) < MOST_BARS);
  const start = Math.floor(low / unit);
  const counts = new Array(Math.floor(high / unit) - start + 1).fill(0);
  for (const [number, count] of months) counts[Math.floor(number / unit) - start] += count;
  return { first: start * unit, unit, counts };
}

/** The months of the bars from one to another, both included: [from, to], as dates. */
export const spanOf = ({ first, unit }, from, to) => [monthOf(first + from * unit), monthOf(first + (to + 1) * unit - 1)];

/** The bars that a span covers, at least in part; all of them where there is no span. */
export function barsWithin({ first, unit, counts }, span) {
  const last = counts.length - 1;
  if (!span) return [0, last];
  const bar = (month) => Math.min(last, Math.max(0, Math.floor((numberOf(month) - first) / unit)));
  return [bar(span[0]), bar(span[1])];
}

/** The years to write below the bars: [{year, share}], share of the width that lies to the left. */
export function yearMarks({ first, unit, counts }, most) {
  const months = counts.length * unit;
  const [from, to] = [Math.ceil(first / 12), Math.floor((first + months - 1) / 12)];
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => (to - from) / one < most) ?? 5000;
  const marks = [];
  for (let year = Math.ceil(from / step) * step; year <= to; year += step) marks.push({ year, share: (year * 12 - first) / months });
  const begun = Math.floor(first / 12); // the year of the first bar, where that does not begin with it
  if (step === 1 && begun < from && (marks[0]?.share ?? 1) > MARK) marks.unshift({ year: begun, share: 0 });
  return marks;
}
