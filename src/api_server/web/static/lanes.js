// The peaks that the server has counted, as lanes.

export function readPeaks(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10);
  const [channels, bins, seconds] = new TextDecoder().decode(bytes.subarray(0, end)).split(" ");
  const all = bytes.subarray(end + 1);
  const each = Number(bins);
  return {
    seconds: Number(seconds),
    channels: Array.from({ length: Number(channels) }, (_, n) => all.subarray(n * each, (n + 1) * each)),
  };
}

export function drawLane(canvas, peaks) {
  const scale = devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.parentElement.clientWidth * scale));
  const height = Math.round(canvas.clientHeight * scale) || 36;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x += 1) {
    const from = Math.floor((x / width) * peaks.length);
    const to = Math.max(from + 1, Math.floor(((x + 1) / width) * peaks.length));
    let loud = 0;
    for (let at = from; at < to; at += 1) loud = Math.max(loud, peaks[at]);
    const tall = Math.max(1, (loud / 255) * height);
    context.fillRect(x, (height - tall) / 2, 1, tall);
  }
}
