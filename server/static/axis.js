// The time axis below the pictures: seconds of a file from its start, or of live sound back from now.

import { byId, clock } from "./text.js";

const STEPS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600]; // seconds between two ticks
const MOST_TICKS = 7;

export function ofFile(seconds) {
  draw(seconds, 0, (at) => (seconds < 60 ? `${at} s` : clock(at)));
}

export function ofLive(seconds) {
  draw(seconds, -seconds, (at) => (at ? `−${-at} s` : "now"));
}

export function none() {
  byId("axis").replaceChildren();
}

// Ticks at round times from `start` on, `seconds` wide.
function draw(seconds, start, label) {
  const step = STEPS.find((candidate) => seconds / candidate <= MOST_TICKS) ?? seconds;
  const ticks = [];
  for (let at = Math.ceil(start / step) * step; at <= start + seconds; at += step) ticks.push(tick((at - start) / seconds, label(at)));
  byId("axis").replaceChildren(...ticks);
}

function tick(share, text) {
  const mark = document.createElement("span");
  mark.style.left = `${100 * share}%`;
  mark.textContent = text;
  if (share < 0.02) mark.className = "first";
  if (share > 0.95) mark.className = "last";
  return mark;
}
