/** The WebSocket: connect, decode, ping, notice silence, and come back with growing pauses. */

import { ServiceError, request, socketUrl } from "./api.js";
import { decode } from "./msgpack.js";

/** @typedef {import("./types.js").ConnectionState} ConnectionState */

const PATH = "api/v1/stream";
const QUERY = { format: "msgpack", dialect: "mano", fields: "joints,mano,vertices,covariance,stats", max_hz: 30 };
const PING_EVERY_MS = 2000;
const SILENT_AFTER_MS = 8000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10000;

export class HandStream {
  /**
   * @param {object} listeners
   * @param {(message: any, receivedMs: number) => void} listeners.onMessage Any decoded message; page clock.
   * @param {(state: ConnectionState) => void} listeners.onState
   */
  constructor({ onMessage, onState }) {
    this.onMessage = onMessage;
    this.onState = onState;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.failures = 0;
    this.lastHeardMs = 0;
    this.retryTimer = 0;
    this.pingTimer = 0;
    this.waiting = false;
    this.reason = "";
    const hurry = () => {
      if (this.waiting && !document.hidden) this.connect();
    };
    document.addEventListener("visibilitychange", hurry);
    window.addEventListener("online", hurry);
  }

  connect() {
    clearTimeout(this.retryTimer);
    this.waiting = false;
    this.onState({ phase: "connecting", reason: this.reason });
    const socket = new WebSocket(socketUrl(PATH, QUERY));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.lastHeardMs = performance.now();
    this.#watch(socket);
    socket.addEventListener("message", (event) => this.#receive(socket, event.data));
    socket.addEventListener("close", (event) => this.#closed(socket, event));
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
      this.reason = `The service sent a message that cannot be read (${/** @type {Error} */ (error).message})`;
      socket.close();
      return;
    }
    if (message.type === "hello") {
      this.failures = 0;
      this.reason = "";
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
        this.reason = "The service has stopped answering";
        // Closing can itself wait for an answer: do not.
        this.#closed(socket, null);
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

  /** @param {WebSocket} socket @param {CloseEvent | null} event */
  async #closed(socket, event) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearInterval(this.pingTimer);
    this.reason = event?.reason || this.reason;
    this.failures += 1;
    const pauseMs = pauseBefore(this.failures, Math.random());
    this.#wait(pauseMs);
    // A browser does not tell why a socket was refused, and an ordinary request does.
    const refusal = await whyRefused();
    if (refusal && this.waiting) this.reason = refusal;
  }

  /** Count down aloud, then try again. @param {number} remainingMs */
  #wait(remainingMs) {
    this.waiting = true;
    if (remainingMs <= 0) {
      this.connect();
      return;
    }
    this.onState({ phase: "waiting", retryInS: Math.ceil(remainingMs / 1000), reason: this.reason });
    const step = remainingMs % 1000 || 1000;
    this.retryTimer = window.setTimeout(() => this.#wait(remainingMs - step), step);
  }
}

/**
 * Pause before the next try: doubled each time up to a limit, spread so that many pages do not come back at one instant.
 *
 * @param {number} failures Tries that failed in a row, from 1.
 * @param {number} chance In [0, 1).
 * @returns {number} Milliseconds.
 */
export function pauseBefore(failures, chance) {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return Math.round(pause * (0.75 + 0.5 * chance));
}

/** @returns {Promise<string>} The service's reason; empty where a plain request works. */
async function whyRefused() {
  try {
    await request("api/v1/cameras");
    return "";
  } catch (error) {
    return error instanceof ServiceError ? error.message : "Service not reachable";
  }
}
