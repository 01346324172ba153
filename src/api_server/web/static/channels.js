// One channel muted or alone. The graph is made when it is first asked for: without it the browser
// plays the file as it is.

export class Channels {
  constructor(audio, count, place) {
    this.audio = audio;
    this.count = count;
    this.place = place;
    this.muted = new Set();
    this.solo = null;
    this.gains = null;
  }

  listen() {
    if (this.count < 2) return;
    this.place.addEventListener("click", (event) => {
      const button = event.target.closest("[data-mute], [data-solo]");
      if (!button) return;
      const { mute, solo } = button.dataset;
      if (mute !== undefined) this.toggleMute(Number(mute));
      else this.solo = this.solo === Number(solo) ? null : Number(solo);
      this.apply();
    });
  }

  toggleMute(channel) {
    if (!this.muted.delete(channel)) this.muted.add(channel);
  }

  apply() {
    this.gains ??= this.connect();
    for (const [channel, gain] of this.gains.entries()) {
      const heard = this.solo === null ? !this.muted.has(channel) : this.solo === channel;
      gain.gain.value = heard ? 1 : 0;
    }
    for (const button of this.place.querySelectorAll("[data-mute], [data-solo]")) {
      const { mute, solo } = button.dataset;
      const on = mute !== undefined ? this.muted.has(Number(mute)) : this.solo === Number(solo);
      button.setAttribute("aria-pressed", String(on));
    }
  }

  connect() {
    const context = new AudioContext();
    const splitter = context.createChannelSplitter(this.count);
    context.createMediaElementSource(this.audio).connect(splitter);
    this.audio.addEventListener("play", () => context.resume());
    context.resume();
    return Array.from({ length: this.count }, (_, channel) => {
      const gain = context.createGain();
      splitter.connect(gain, channel);
      gain.connect(context.destination);
      return gain;
    });
  }
}
