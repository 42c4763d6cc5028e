// Numbers as people read them, and the page's elements by name.

export function byId(id) {
  return document.getElementById(id);
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function factorText(factor) {
  return factor.toPrecision(2);
}

// Offers a blob at a link, and lets go of the one offered there before.
export function offer(link, { blob, name }) {
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.hidden = false;
}

// The strongest setting of the slider means no limit at all.
export function limitText(limit) {
  return limit === null ? "no limit" : `${limit} dB`;
}
