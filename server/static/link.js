// A worker with the WebSocket on one side and the worklet's port on the other. The page hears of everything but audio.

const MOST_UNSENT_SECONDS = 1;
const BYTES = 2; // of a sample

let socket;

onmessage = ({ data, ports }) => {
  if (data.open) open(data.open, ports[0]);
  else if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(data.say));
};

function open({ url, key, start }, worklet) {
  try {
    socket = new WebSocket(url, key ? ["gtcrn", `key.${key}`] : ["gtcrn"]);
  } catch {
    return postMessage({ closed: { code: 1008, fault: { code: "unauthorized" } } }); // no key has such characters
  }
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(JSON.stringify({ type: "start", ...start }));
  listen(worklet, start.sample_rate * BYTES * MOST_UNSENT_SECONDS);
}

function listen(worklet, mostUnsent) {
  let fault = null;
  let over = false;
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) return worklet.postMessage(data, [data]);
    const event = JSON.parse(data);
    if (event.type === "ready") worklet.postMessage("begin");
    if (event.type === "error") fault = event;
    over ||= event.type === "done";
    postMessage({ event });
  };
  socket.onclose = ({ code, reason }) => postMessage({ closed: { code, fault: fault ?? { message: reason } } });
  worklet.onmessage = ({ data }) => {
    if (over || socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount <= mostUnsent) return socket.send(data);
    fault = { code: "slow", message: "" };
    socket.close(4000);
  };
}
