// What went wrong, said to the person in front of the page: what it was and what to do.

export class Problem extends Error {
  constructor(sentence, needsKey = false) {
    super(sentence);
    this.needsKey = needsKey;
  }
}

const UNREACHABLE =
  "The service cannot be reached. Check that it runs (gtcrn serve) and that you are online, then try again.";
const SLOW = "The connection is too slow for live audio. Try a better network, or a file.";
const KEY = "This service asks for an API key.";
const WRONG_KEY = "The service did not take this API key.";

const MICROPHONE = {
  NotAllowedError:
    "The browser may not use the microphone. Allow it for this page (the icon left of the address, or the browser's " +
    "settings for this site), then press Start again. Files work without it.",
  NotFoundError: "No microphone was found. Plug one in, then press Start again. Files work without it.",
  NotReadableError:
    "The microphone is held by another program, or has failed. Close that program, then press Start again.",
};

export const INSECURE =
  "Browsers give the microphone only to pages from https:// or localhost. Open this page there (a tunnel will do: " +
  "ssh -L 8000:localhost:8000 server). Files work here too.";

export function ofMicrophone(error) {
  return new Problem(MICROPHONE[error.name] ?? `The microphone cannot be used: ${error.message}`);
}

// Of a WebSocket that closed: `fault` is the service's own last word, if it had one.
export function ofClose({ code, fault, ready }, key) {
  if (fault.code === "unauthorized") return new Problem(key ? WRONG_KEY : KEY, true);
  if (code === 1013) return busy(fault.message);
  if (fault.code === "slow") return new Problem(SLOW);
  if (code === 1001) return new Problem("The service is shutting down. Start again in a moment.");
  if (fault.message) return new Problem(`The service ended the stream: ${fault.message}`);
  return new Problem(ready ? "The connection broke off. Check the network, then start again." : UNREACHABLE);
}

// Of an HTTP answer that is not a success.
export async function ofAnswer(response, name, key) {
  if (response.status === 401) return new Problem(key ? WRONG_KEY : KEY, true);
  const { message = `It answered ${response.status}.` } = await response.json().catch(() => ({}));
  if (response.status === 503) return busy(message, response.headers.get("Retry-After"));
  return new Problem(`The service did not take ${name}: ${message}`);
}

export function ofNetwork() {
  return new Problem(UNREACHABLE);
}

function busy(message, seconds) {
  return new Problem(`The service is busy. ${message || ""} Try again in ${seconds || "a few"} seconds.`);
}
