/** The WebSocket: connect, decode, ping, notice silence, and come back with growing pauses. */

import { pauseBefore } from "./backoff.js";
import { decode } from "./msgpack.js";

/** @typedef {import("./types.js").ConnectionState} ConnectionState */
/** @typedef {{reason: string, needsToken: boolean}} Refusal */

const PING_EVERY_MS = 2000;
const SILENT_AFTER_MS = 8000;

export class HandStream {
  /**
   * @param {() => string} address Of the stream, asked for at each try.
   * @param {object} listeners
   * @param {(message: any, receivedMs: number) => void} listeners.onMessage Any decoded message; page clock.
   * @param {(state: ConnectionState) => void} listeners.onState
   * @param {() => Promise<Refusal | null>} [whyRefused] A browser does not tell why a socket was refused; this may.
   */
  constructor(address, { onMessage, onState }, whyRefused = async () => null) {
    this.address = address;
    this.onMessage = onMessage;
    this.onState = onState;
    this.whyRefused = whyRefused;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.failures = 0;
    this.lastHeardMs = 0;
    this.retryTimer = 0;
    this.pingTimer = 0;
    this.waiting = false;
    /** @type {Refusal} */
    this.refusal = { reason: "", needsToken: false };
    document.addEventListener("visibilitychange", () => this.hurry());
    window.addEventListener("online", () => this.hurry());
  }

  /** Try again at once, if the next try is being waited for. */
  hurry() {
    if (this.waiting && !document.hidden) this.connect();
  }

  connect() {
    clearTimeout(this.retryTimer);
    this.waiting = false;
    this.onState({ phase: "connecting", ...this.refusal });
    const socket = new WebSocket(this.address());
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.lastHeardMs = performance.now();
    this.#watch(socket);
    socket.addEventListener("message", (event) => this.#receive(socket, event.data));
    socket.addEventListener("close", (event) => this.#closed(socket, event.reason));
  }

  /** @param {WebSocket} socket @param {string | ArrayBuffer} data */
  #receive(socket, data) {
    if (socket !== this.socket) return;
    const nowMs = performance.now();
    this.lastHeardMs = nowMs;
    let message;
    try {
      message = typeof data === "string" ? JSON.parse(data) : decode(data);
    } catch (error) {
      this.refusal.reason = `The service sent a message that cannot be read (${/** @type {Error} */ (error).message})`;
      socket.close();
      return;
    }
    if (message.type === "hello") {
      this.failures = 0;
      this.refusal = { reason: "", needsToken: false };
      this.onState({ phase: "open" });
      this.#ping(socket);
    }
    this.onMessage(message, nowMs);
  }

  /** Ping now and then; a socket that has fallen silent is given up. @param {WebSocket} socket */
  #watch(socket) {
    clearInterval(this.pingTimer);
    this.pingTimer = window.setInterval(() => {
      if (performance.now() - this.lastHeardMs > SILENT_AFTER_MS) {
        // Closing can itself wait for an answer: do not.
        void this.#closed(socket, "The service has stopped answering");
        socket.close();
      } else {
        this.#ping(socket);
      }
    }, PING_EVERY_MS);
  }

  /** @param {WebSocket} socket */
  #ping(socket) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "ping", t: performance.now() }));
  }

  /** @param {WebSocket} socket @param {string} reason */
  async #closed(socket, reason) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearInterval(this.pingTimer);
    this.refusal = { reason: reason || this.refusal.reason, needsToken: false };
    this.failures += 1;
    this.#wait(pauseBefore(this.failures, Math.random()));
    // Words that came with the end say more than a guess about it.
    if (reason) return;
    const refusal = await this.whyRefused();
    if (refusal !== null && this.waiting) this.refusal = refusal;
  }

  /** Count down aloud, then try again. @param {number} remainingMs */
  #wait(remainingMs) {
    this.waiting = true;
    if (remainingMs <= 0) {
      this.connect();
      return;
    }
    this.onState({ phase: "waiting", retryInS: Math.ceil(remainingMs / 1000), ...this.refusal });
    const step = remainingMs % 1000 || 1000;
    this.retryTimer = window.setTimeout(() => this.#wait(remainingMs - step), step);
  }
}
