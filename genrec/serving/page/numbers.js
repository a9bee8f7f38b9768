// Numbers as people read them.

const whole = new Intl.NumberFormat("en");

/** 12345 as "12,345". */
export const count = (number) => whole.format(number);

/** "1 item", "2 items". */
export const counted = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** A share as percent, with three digits that count: "4.03 %", "<0.001 %". */
export function percent(share) {
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.001) return "<0.001 %";
  return `${value >= 99.95 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3)} %`;
}

/** A log-probability with a true minus sign. */
export const logProb = (value) => value.toFixed(3).replace("-", "−");
